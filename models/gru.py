"""GRU layers over a video's frames.

Cho et al., "Learning phrase representations using RNN encoder-decoder for
statistical machine translation", EMNLP 2014; as `GruModel` of Miech, Laptev and
Sivic 2017 (the WILLOW code).
"""

import keras

from distill.models.argument_checks import check_at_least
from distill.models.recurrent_model import RecurrentModel


@keras.saving.register_keras_serializable("models")
class GruModel(RecurrentModel):
    """Classifies a video by stacked GRU layers.

    The reset gate is applied to the state before the candidate's matrix.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      gru_cells: Cells of every layer.
      gru_layers: Number of layers.
      **kwargs: Further arguments of `RecurrentModel`; the pooling `state` is
        all layers' final states, end to end.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats and
        `num_frames` `[batch]` ints. What lies at or beyond `num_frames` has
        no effect.
      training: Whether dropout and sampling apply.

    Returns:
      Dict of `embedding` `[batch, gru_layers * gru_cells]`, with `mean`
      `[batch, gru_cells]`, before dropout, zero for a video without frames,
      and `predictions` `[batch, classes]` in [0, 1].

    Raises:
      ValueError: A size is out of range or `recurrent_pooling` is unknown.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        gru_cells: int = 1200,
        gru_layers: int = 2,
        **kwargs,
    ):
        check_at_least(1, gru_cells=gru_cells, gru_layers=gru_layers)
        super().__init__(classifier, gru_cells, gru_layers, **kwargs)
        self.gru_cells = gru_cells
        self.gru_layers = gru_layers

    def make_recurrence(self, cells, index):
        """Returns a GRU layer."""
        return keras.layers.GRU(
            cells,
            return_sequences=True,
            return_state=True,
            reset_after=False,
            dtype=self.dtype_policy,
            name=f"gru_{index}",
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "gru_cells": self.gru_cells,
            "gru_layers": self.gru_layers,
        }

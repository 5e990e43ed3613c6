"""GRU layers over a video's frames.

Cho et al., "Learning phrase representations using RNN encoder-decoder for
statistical machine translation", EMNLP 2014; as `GruModel` of Miech, Laptev and
Sivic 2017 (the WILLOW code).
"""

import keras

from models.recurrent_model import RecurrentModel
from models.size_checks import check_at_least


@keras.saving.register_keras_serializable("models")
class GruModel(RecurrentModel):
    """Classifies a video by stacked GRU layers.

    The reset gate is applied to the state before the candidate's matrix.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      gru_cells: Cells of every layer.
      gru_layers: Number of layers.
      reversed_time: Whether the real frames are read last to first.
      recurrent_pooling: `state` (all layers' final states, end to end) or
        `mean` (of the last layer's outputs over the real frames).
      dropout: Share of values dropped in training between the layers and
        before the classifier.
      sample_frames: Frames drawn of a video in training; 0 reads them all.
      sample_random_frames: Whether each is drawn on its own; otherwise they
        are a run of consecutive frames.
      sample_at_evaluation: Whether frames are drawn outside training too.

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
        reversed_time: bool = False,
        recurrent_pooling: str = "state",
        dropout: float = 0.0,
        sample_frames: int = 0,
        sample_random_frames: bool = True,
        sample_at_evaluation: bool = False,
        **kwargs,
    ):
        check_at_least(1, gru_cells=gru_cells, gru_layers=gru_layers)
        super().__init__(
            classifier,
            [
                keras.layers.GRU(
                    gru_cells,
                    return_sequences=True,
                    return_state=True,
                    reset_after=False,
                    dtype=kwargs.get("dtype"),
                    name=f"gru_{index}",
                )
                for index in range(gru_layers)
            ],
            reversed_time=reversed_time,
            recurrent_pooling=recurrent_pooling,
            dropout=dropout,
            sample_frames=sample_frames,
            sample_random_frames=sample_random_frames,
            sample_at_evaluation=sample_at_evaluation,
            **kwargs,
        )
        self.gru_cells = gru_cells
        self.gru_layers = gru_layers

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "gru_cells": self.gru_cells,
            "gru_layers": self.gru_layers,
        }

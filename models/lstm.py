"""LSTM layers over a video's frames.

Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997;
as `LstmModel` of the YouTube-8M starter code.
"""

import keras

from distill.models.argument_checks import check_at_least
from distill.models.recurrent_model import RecurrentModel


@keras.saving.register_keras_serializable("models")
class LstmModel(RecurrentModel):
    """Classifies a video by stacked LSTM layers.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      lstm_cells: Cells of every layer.
      lstm_layers: Number of layers.
      **kwargs: Further arguments of `RecurrentModel`; the pooling `state` is
        the last layer's final hidden state.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats and
        `num_frames` `[batch]` ints. What lies at or beyond `num_frames` has
        no effect.
      training: Whether dropout and sampling apply.

    Returns:
      Dict of `embedding` `[batch, lstm_cells]`, before dropout, zero for a
      video without frames, and `predictions` `[batch, classes]` in [0, 1].

    Raises:
      ValueError: A size is out of range or `recurrent_pooling` is unknown.
    """

    first_state = -1

    def __init__(
        self,
        classifier: keras.layers.Layer,
        lstm_cells: int = 1024,
        lstm_layers: int = 2,
        **kwargs,
    ):
        check_at_least(1, lstm_cells=lstm_cells, lstm_layers=lstm_layers)
        super().__init__(classifier, lstm_cells, lstm_layers, **kwargs)
        self.lstm_cells = lstm_cells
        self.lstm_layers = lstm_layers

    def make_recurrence(self, cells, index):
        """Returns an LSTM layer."""
        return keras.layers.LSTM(
            cells,
            return_sequences=True,
            return_state=True,
            dtype=self.dtype_policy,
            name=f"lstm_{index}",
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "lstm_cells": self.lstm_cells,
            "lstm_layers": self.lstm_layers,
        }

"""LSTM layers over a video's frames.

Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997;
as `LstmModel` of the YouTube-8M starter code.
"""

import keras

from models.recurrent_model import RecurrentModel
from models.size_checks import check_at_least


@keras.saving.register_keras_serializable("models")
class LstmModel(RecurrentModel):
    """Classifies a video by stacked LSTM layers.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      lstm_cells: Cells of every layer.
      lstm_layers: Number of layers.
      reversed_time: Whether the real frames are read last to first.
      recurrent_pooling: `state` (the last layer's final hidden state) or
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
        reversed_time: bool = False,
        recurrent_pooling: str = "state",
        dropout: float = 0.0,
        sample_frames: int = 0,
        sample_random_frames: bool = True,
        sample_at_evaluation: bool = False,
        **kwargs,
    ):
        check_at_least(1, lstm_cells=lstm_cells, lstm_layers=lstm_layers)
        super().__init__(
            classifier,
            [
                keras.layers.LSTM(
                    lstm_cells,
                    return_sequences=True,
                    return_state=True,
                    dtype=kwargs.get("dtype"),
                    name=f"lstm_{index}",
                )
                for index in range(lstm_layers)
            ],
            reversed_time=reversed_time,
            recurrent_pooling=recurrent_pooling,
            dropout=dropout,
            sample_frames=sample_frames,
            sample_random_frames=sample_random_frames,
            sample_at_evaluation=sample_at_evaluation,
            **kwargs,
        )
        self.lstm_cells = lstm_cells
        self.lstm_layers = lstm_layers

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "lstm_cells": self.lstm_cells,
            "lstm_layers": self.lstm_layers,
        }

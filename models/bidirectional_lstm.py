"""LSTM layers in alternating direction, pooled by maxima over time.

As the Label_YT_Videos repository builds its bidirectional LSTM.
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.dense_stack import DenseStack
from distill.models.frame_mask import frame_mask
from distill.models.frame_maximum import maximum_over_frames
from distill.models.input_norm import InputNorm
from distill.models.residual_lstm import ResidualLstm
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("models")
class BiLstmModel(VideoModel):
    """Classifies a video by the maxima over time of stacked residual LSTMs.

    The first layer reads forward, the second backward, and so on.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      lstm_cells: Width of every layer.
      lstm_layers: Number of layers.
      hidden_size: Width of the dense layer (ReLU) after the maxima.
      dropout: Share of values dropped in training before the dense layer and
        before the classifier.
      input_batch_norm: Whether the frames pass a batch normalisation, whose
        statistics are those of the real frames.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats and
        `num_frames` `[batch]` ints. What lies at or beyond `num_frames` has
        no effect; a video without frames has maxima of 0.
      training: Whether dropout applies.

    Returns:
      Dict of `embedding` `[batch, hidden_size]`, before dropout, and
      `predictions` `[batch, classes]` in [0, 1].

    Raises:
      ValueError: A size is less than 1.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        lstm_cells: int = 2304,
        lstm_layers: int = 4,
        hidden_size: int = 2048,
        dropout: float = 0.0,
        input_batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(classifier, **kwargs)
        self.drop_embedding(dropout)
        check_at_least(
            1,
            lstm_cells=lstm_cells,
            lstm_layers=lstm_layers,
            hidden_size=hidden_size,
        )
        self.lstm_cells = lstm_cells
        self.lstm_layers = lstm_layers
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.input_batch_norm = input_batch_norm
        policy = self.dtype_policy
        self.input_norm = InputNorm(
            input_batch_norm, dtype=policy, name="input_norm"
        )
        self.recurrences = [
            ResidualLstm(
                lstm_cells,
                backward=index % 2 == 1,
                dtype=policy,
                name=f"residual_lstm_{index}",
            )
            for index in range(lstm_layers)
        ]
        self.pooled_drop = keras.layers.Dropout(
            dropout, dtype=policy, name="pooled_drop"
        )
        self.hidden = DenseStack([hidden_size], dtype=policy, name="hidden")

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        shape = (None, None, input_shape["frames"][-1])
        self.input_norm.build(shape)
        for recurrence in self.recurrences:
            recurrence.build(shape)
            shape = (None, None, self.lstm_cells)
        self.hidden.build((None, self.lstm_cells))
        self.classifier.build((None, self.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames = inputs["frames"]
        num_frames = ops.cast(inputs["num_frames"], "int32")
        mask = frame_mask(frames, num_frames)
        frames = self.input_norm(frames, mask, training=training)
        for recurrence in self.recurrences:
            frames = recurrence(frames, num_frames, training=training)
        pooled = maximum_over_frames(frames, mask)
        embedding = self.hidden(self.pooled_drop(pooled, training=training))
        return self.classify(embedding, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return (
            sum(layer.macs(num_frames) for layer in self.recurrences)
            + self.hidden.macs()
            + self.classifier.macs()
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "lstm_cells": self.lstm_cells,
            "lstm_layers": self.lstm_layers,
            "hidden_size": self.hidden_size,
            "dropout": self.dropout,
            "input_batch_norm": self.input_batch_norm,
        }

"""A recurrent stream for every feature of a frame.

As the Stream-LSTM of the Label_YT_Videos repository.
"""

import keras
from keras import ops

from distill.models.dense_stack import dense_macs
from distill.models.feature_split import check_feature_sizes, split_features
from distill.models.frame_recurrence import (
    read_real_frames,
    reverse_real_frames,
    step_macs,
)


@keras.saving.register_keras_serializable("models")
class LstmStream(keras.layers.Layer):
    """A dense layer, an LSTM forward, one backward over its outputs.

    Args:
      input_size: Width of the dense layer (ReLU) before the LSTMs.
      cells: Cells of both LSTMs.

    Call arguments:
      frames: `[batch, frames, features]` floats.
      num_frames: int32 `[batch]`. Frames at or beyond it have no effect.
      training: Passed on to the LSTMs.

    Returns:
      `[batch, cells]`: the backward LSTM's state after the first frame, zero
      for a video without frames.
    """

    def __init__(self, input_size: int, cells: int, **kwargs):
        super().__init__(**kwargs)
        self.input_size = input_size
        self.cells = cells
        policy = self.dtype_policy
        self.dense = keras.layers.Dense(
            input_size, activation="relu", dtype=policy, name="dense"
        )
        self.forward_lstm = keras.layers.LSTM(
            cells,
            return_sequences=True,
            return_state=True,
            dtype=policy,
            name="forward",
        )
        self.backward_lstm = keras.layers.LSTM(
            cells, return_state=True, dtype=policy, name="backward"
        )

    def build(self, frames_shape, num_frames_shape=None):
        """Builds the layers for `[batch, frames, features]`."""
        self.dense.build(tuple(frames_shape))
        self.forward_lstm.build((*frames_shape[:-1], self.input_size))
        self.backward_lstm.build((*frames_shape[:-1], self.cells))

    def call(self, frames, num_frames, training=False):
        """Returns the backward LSTM's final state."""
        outputs, _ = read_real_frames(
            self.forward_lstm, self.dense(frames), num_frames, training
        )
        _, state = read_real_frames(
            self.backward_lstm,
            reverse_real_frames(outputs, num_frames),
            num_frames,
            training,
        )
        return state

    def compute_output_shape(self, frames_shape, num_frames_shape=None):
        """Returns `[batch, cells]`."""
        return (frames_shape[0], self.cells)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return num_frames * (
            dense_macs(self.dense)
            + step_macs(self.forward_lstm)
            + step_macs(self.backward_lstm)
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "input_size": self.input_size,
            "cells": self.cells,
        }


@keras.saving.register_keras_serializable("models")
class FeatureStreams(keras.layers.Layer):
    """Cuts the frames into their features and reads each by a stream.

    Args:
      feature_sizes: Width of every feature of a frame, in order.
      input_size: Width of the dense layer that each stream begins with.
      cells: Cells of the LSTMs of each stream, one number a feature.

    Call arguments:
      frames: `[batch, frames, sum(feature_sizes)]` floats.
      num_frames: int32 `[batch]`. Frames at or beyond it have no effect.
      training: Passed on to the LSTMs.

    Returns:
      `[batch, sum(cells)]`: the streams' states end to end.

    Raises:
      ValueError: `feature_sizes` do not fit the input.
    """

    def __init__(
        self,
        feature_sizes: list[int],
        input_size: int,
        cells: list[int],
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = list(feature_sizes)
        self.input_size = input_size
        self.cells = list(cells)
        self.streams = [
            LstmStream(
                input_size,
                num_cells,
                dtype=self.dtype_policy,
                name=f"stream_{index}",
            )
            for index, num_cells in enumerate(self.cells)
        ]

    def build(self, frames_shape, num_frames_shape=None):
        """Builds the streams for `[batch, frames, features]`."""
        check_feature_sizes(self.feature_sizes, frames_shape[-1])
        for stream, size in zip(self.streams, self.feature_sizes, strict=True):
            stream.build((*frames_shape[:-1], size))

    def call(self, frames, num_frames, training=False):
        """Returns the streams' states."""
        features = split_features(frames, self.feature_sizes)
        states = [
            stream(feature, num_frames, training=training)
            for stream, feature in zip(self.streams, features, strict=True)
        ]
        return ops.concatenate(states, axis=-1)

    def compute_output_shape(self, frames_shape, num_frames_shape=None):
        """Returns `[batch, sum(cells)]`."""
        return (frames_shape[0], sum(self.cells))

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return sum(stream.macs(num_frames) for stream in self.streams)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "feature_sizes": self.feature_sizes,
            "input_size": self.input_size,
            "cells": self.cells,
        }

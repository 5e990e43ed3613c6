"""An LSTM layer whose output is added to its input.

As the Label_YT_Videos repository stacks them; the sums are after He et al.,
"Deep residual learning for image recognition", CVPR 2016.
"""

import keras

from distill.models.dense_stack import dense_macs
from distill.models.frame_recurrence import (
    read_real_frames,
    reverse_real_frames,
    step_macs,
)


@keras.saving.register_keras_serializable("models")
class ResidualLstm(keras.layers.Layer):
    """A dense layer plus an LSTM over its output.

    `y_t = d_t + LSTM(d_1 ... d_t)` with `d_t = x_t W + b`; the dense layer is
    linear (the reference does not say), so that sums pass unchanged.

    Args:
      cells: Width of the dense layer and of the LSTM.
      backward: Whether the LSTM reads the real frames last to first.

    Call arguments:
      frames: `[batch, frames, features]` floats.
      num_frames: int32 `[batch]`. The outputs at or beyond it mean nothing
        and change no other.
      training: Not used: nothing is dropped.

    Returns:
      `[batch, frames, cells]`, in the order of the frames.
    """

    def __init__(self, cells: int, backward: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.cells = cells
        self.backward = backward
        self.dense = keras.layers.Dense(
            cells, dtype=self.dtype_policy, name="dense"
        )
        self.lstm = keras.layers.LSTM(
            cells,
            return_sequences=True,
            return_state=True,
            dtype=self.dtype_policy,
            name="lstm",
        )

    def build(self, frames_shape, num_frames_shape=None):
        """Builds both layers for `[batch, frames, features]`."""
        self.dense.build(tuple(frames_shape))
        self.lstm.build((*frames_shape[:-1], self.cells))

    def call(self, frames, num_frames, training=False):
        """Returns the sums."""
        projected = self.dense(frames)
        if not self.backward:
            outputs, _ = read_real_frames(
                self.lstm, projected, num_frames, training
            )
            return projected + outputs
        outputs, _ = read_real_frames(
            self.lstm,
            reverse_real_frames(projected, num_frames),
            num_frames,
            training,
        )
        return projected + reverse_real_frames(outputs, num_frames)

    def compute_output_shape(self, frames_shape, num_frames_shape=None):
        """Returns `[batch, frames, cells]`."""
        return (*frames_shape[:-1], self.cells)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        per_frame = dense_macs(self.dense) + step_macs(self.lstm)
        return num_frames * per_frame

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "cells": self.cells,
            "backward": self.backward,
        }

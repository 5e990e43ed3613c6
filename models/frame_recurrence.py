"""Recurrent layers that read a video's real frames, in either direction."""

import keras
from keras import ops

from distill.models.fixed_shapes import shapes_are_fixed
from distill.models.frame_mask import frame_mask
from distill.models.frame_selection import take_frames


def make_lstm(
    cells: int, return_sequences: bool = True, **kwargs
) -> keras.layers.LSTM:
    """Returns an LSTM that also returns its final state."""
    return keras.layers.LSTM(
        cells, return_sequences=return_sequences, return_state=True, **kwargs
    )


def read_real_frames(
    layer: keras.layers.RNN, frames, num_frames, training=False
) -> tuple:
    """Runs a recurrent layer over the real frames from a zero state.

    Args:
      layer: An LSTM or GRU with `return_state`.
      frames: `[batch, frames, features]`; frames at or beyond `num_frames`
        do not reach the state.
      num_frames: int32 `[batch]`.
      training: Passed on to the layer.

    Returns:
      The layer's outputs, `[batch, frames, cells]` with `return_sequences`,
      undefined at or beyond `num_frames`, and the final hidden state
      `[batch, cells]`, zero for a video without frames.
    """
    # cuDNN refuses an empty sequence: its first step is read and dropped.
    mask = frame_mask(frames, ops.maximum(num_frames, 1))
    unroll = layer.unroll
    layer.unroll = unroll or shapes_are_fixed()
    try:
        outputs, state, *_ = layer(frames, mask=mask, training=training)
    finally:
        layer.unroll = unroll
    has_frames = (num_frames > 0)[:, None]
    return outputs, ops.where(has_frames, state, ops.zeros_like(state))


def reverse_real_frames(frames, num_frames):
    """Reverses the order of the real frames; the padding stays where it is.

    `frames` are `[batch, frames, features]`, `num_frames` int32 `[batch]`.
    """
    length = ops.shape(frames)[1]
    positions = ops.arange(length, dtype="int32")[None, :]
    last = ops.minimum(num_frames, length)[:, None] - 1
    sources = ops.where(positions <= last, last - positions, positions)
    return take_frames(frames, sources)


def step_macs(layer: keras.layers.RNN) -> int:
    """Returns the MACs of one step of a built LSTM or GRU."""
    features, columns = layer.cell.kernel.shape
    cells, _ = layer.cell.recurrent_kernel.shape
    return (features + cells) * columns

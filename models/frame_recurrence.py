"""Recurrent layers that read a video's real frames, in either direction."""

import keras
from keras import ops

from distill.models.chunked_recurrence import can_chunk, run_in_chunks
from distill.models.fixed_shapes import shapes_are_fixed
from distill.models.frame_mask import frame_mask
from distill.models.frame_selection import take_frames


def make_lstm(
    cells: int,
    return_sequences: bool = True,
    gates: str = "sigmoid",
    **kwargs,
) -> keras.layers.LSTM:
    """Returns an LSTM that also returns its final state.

    Its gates are logistic functions, or with `hard_sigmoid` lines of slope 0.2
    that end at 0 and 1: Keras's default before version 2.3.
    """
    return keras.layers.LSTM(
        cells,
        return_sequences=return_sequences,
        return_state=True,
        recurrent_activation=hard_gate if gates == "hard_sigmoid" else gates,
        **kwargs,
    )


@keras.saving.register_keras_serializable("distill.models")
def hard_gate(values):
    """Returns 0.2 times the values plus 0.5, between 0 and 1."""
    return ops.clip(0.2 * values + 0.5, 0, 1)


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
      undefined at or beyond `num_frames`, and a list of the final states
      `[batch, cells]`, zero for a video without frames: the hidden state, and
      an LSTM's cell state after it.
    """
    if can_chunk(layer, frames.shape[1]):
        is_real = ops.transpose(frame_mask(frames, num_frames))[:, :, None]
        frames = ops.cast(frames, layer.compute_dtype)
        outputs, *states = run_in_chunks(
            layer, ops.transpose(frames, (1, 0, 2)), is_real
        )
        if layer.return_sequences:
            return ops.transpose(outputs, (1, 0, 2)), states
        return states[0], states
    # cuDNN refuses an empty sequence: its first step is read and dropped.
    mask = frame_mask(frames, ops.maximum(num_frames, 1))
    unroll = layer.unroll
    layer.unroll = unroll or shapes_are_fixed()
    try:
        outputs, *states = layer(frames, mask=mask, training=training)
    finally:
        layer.unroll = unroll
    has_frames = (num_frames > 0)[:, None]
    return outputs, [
        ops.where(has_frames, state, ops.zeros_like(state)) for state in states
    ]


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

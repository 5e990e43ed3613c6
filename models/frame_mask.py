"""Mask, mean and maximum of the real frames of a padded batch.

`values` are `[batch, frames, dim]` floats. A `mask` is `[batch, frames]`
booleans, True for real frames.
"""

from keras import ops

from distill.models.fixed_shapes import shapes_may_vary

# Finite: ONNX's converter multiplies by the mask where a choice is meant.
_LOWEST = -1e30


def frame_mask(frames, num_frames):
    """Returns the mask: False at or beyond `num_frames`, `[batch]` ints.

    Of `frames`, `[batch, frames, features]`, only the shape is used.
    """
    positions = ops.arange(ops.shape(frames)[1], dtype="int32")
    return positions[None, :] < ops.cast(num_frames, "int32")[:, None]


def leave_out_padding(frames, num_frames):
    """Returns frames up to the batch's longest video, rounded up to tens.

    What no video needs is left out where shapes may depend on values;
    elsewhere all frames stay. The arguments are those of `frame_mask`.
    """
    if not shapes_may_vary():
        return frames
    longest = ops.max(ops.cast(num_frames, "int32"), initial=1)
    return frames[:, : (longest + 9) // 10 * 10]


def zero_padding(values, mask):
    """Returns `values` with zeros in the padding; no mask means none."""
    if mask is None:
        return values
    return ops.where(mask[:, :, None], values, ops.zeros_like(values))


def average_frames(values, mask):
    """Returns the mean over the real frames, zeros for a video without any.

    It is `[batch, dim]` of the same type, averaged in float32. Without a mask
    all frames are real.
    """
    wide = ops.cast(values, "float32")
    if mask is None:
        return ops.cast(ops.mean(wide, axis=1), values.dtype)
    num_real = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
    total = ops.sum(zero_padding(wide, mask), axis=1)
    return ops.cast(total / ops.maximum(num_real, 1.0), values.dtype)


def maximum_over_frames(values, mask):
    """Returns `[batch, dim]` maxima over the real frames, zeros without any.

    Without a mask all frames are real.
    """
    if mask is None:
        return ops.max(values, axis=1)
    lowest = ops.full_like(values, _LOWEST)
    maximum = ops.max(ops.where(mask[:, :, None], values, lowest), axis=1)
    has_frames = ops.any(mask, axis=1, keepdims=True)
    return ops.where(has_frames, maximum, ops.zeros_like(maximum))

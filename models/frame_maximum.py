"""The maximum over the real frames of a padded batch."""

from keras import ops

# Finite: ONNX's converter makes a product with the mask of a choice.
_LOWEST = -1e30


def maximum_over_frames(values, mask):
    """Returns the maximum over the real frames, zeros where there is none.

    Args:
      values: `[batch, frames, dim]` floats.
      mask: `[batch, frames]` booleans: whether a frame is real.

    Returns:
      `[batch, dim]` floats of the same type.
    """
    lowest = ops.full_like(values, _LOWEST)
    maximum = ops.max(ops.where(mask[:, :, None], values, lowest), axis=1)
    has_frames = ops.any(mask, axis=1, keepdims=True)
    return ops.where(has_frames, maximum, ops.zeros_like(maximum))

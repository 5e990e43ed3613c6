"""Frames times a scale plus an offset, which are not multiplied out.

Where the scale and the offset are weights, those of a batch norm, every use of
the multiplied frames sends a gradient as large as the frames, only to sum it
over them. Taken into the small factor of a product they need none of it.
"""

from typing import Any, NamedTuple

from keras import ops

from distill.models.vector_product import multiply_vectors


class ScaledFrames(NamedTuple):
    """Frames: `values * scale + offset`.

    Attributes:
      values: `[batch, frames, features]` floats.
      scale: `[features]`.
      offset: `[features]`.
    """

    values: Any
    scale: Any
    offset: Any


def multiply_frames(frames, kernel):
    """Returns the product with a matrix `[features, units]`.

    Here and below frames are `ScaledFrames` or a plain array.
    """
    if not isinstance(frames, ScaledFrames):
        return multiply_vectors(frames, kernel)
    values, scale, offset = frames
    ones = ops.ones_like(values[..., :1])
    rows = [scale[:, None] * kernel, ops.matmul(offset[None], kernel)]
    return ops.matmul(
        ops.concatenate([values, ones], axis=-1),
        ops.concatenate(rows, axis=0),
    )


def multiply_out(frames):
    """Returns the plain array."""
    if not isinstance(frames, ScaledFrames):
        return frames
    return frames.values * frames.scale + frames.offset

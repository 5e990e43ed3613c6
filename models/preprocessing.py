"""Preprocessing of stored features: dequantised, normalised, masked."""

import keras
from keras import ops

from distill.models.frame_mask import frame_mask, zero_padding
from distill.models.quantisation import YT8M_RANGE, dequantisation


def dequantize(values, value_range=YT8M_RANGE):
    """Returns the float32 values that uint8 ones, of any shape, stand for.

    `value_range` holds the least and the greatest value of the quantisation.
    """
    scale, offset = dequantisation(*value_range)
    return ops.cast(values, "float32") * scale + offset


def is_quantised(values) -> bool:
    """Returns whether values are bytes, not the numbers themselves."""
    return keras.backend.standardize_dtype(values.dtype) == "uint8"


def l2_normalize(values):
    """Returns `values` over their L2 norm along the last axis.

    A vector of zeros stays zeros (squared norms are at least 1e-12).
    """
    squares = ops.sum(ops.square(values), axis=-1, keepdims=True)
    return values * ops.rsqrt(ops.maximum(squares, 1e-12))


def preprocess(inputs, value_range=YT8M_RANGE):
    """Turns a batch of stored features into a model's inputs.

    Args:
      inputs: Dict of `frames` uint8 `[batch, frames, features]` (floats:
        taken as they are) and `num_frames` int `[batch]`, or of `features`
        float `[batch, features]`.
      value_range: The least and the greatest value of the quantisation.

    Returns:
      The same keys. Frames are dequantised float32 vectors of norm 1, zeros at
      or beyond `num_frames`; features are normalised to norm 1.
    """
    if "features" in inputs:
        return {"features": l2_normalize(inputs["features"])}
    frames, num_frames = inputs["frames"], inputs["num_frames"]
    mask = frame_mask(frames, num_frames)
    if is_quantised(frames):
        frames = dequantize(frames, value_range)
    normalised = l2_normalize(frames)
    return {
        "frames": zero_padding(normalised, mask),
        "num_frames": num_frames,
    }

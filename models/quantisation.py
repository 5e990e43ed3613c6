"""Features of eight bits: the numbers that bytes stand for, and back.

Importing this imports no Keras and no NumPy.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# YouTube-8M's range.
QUANTISATION_MIN = -2.0
QUANTISATION_MAX = 2.0
MAX_BYTE = 255
YT8M_RANGE = (QUANTISATION_MIN, QUANTISATION_MAX)


def dequantisation(least: float, most: float) -> tuple[float, float]:
    """Returns the factor and the offset that turn a byte into a number.

    YouTube-8M starter code, `utils.Dequantize`: 255 steps over the range, read
    at the middle of a 1/512 step. In [-2, 2] the numbers lie in
    [-1.9922, 2.0078].
    """
    value_range = most - least
    return value_range / 255.0, value_range / 512.0 + least


def quantize(values: "np.ndarray", least: float, most: float) -> "np.ndarray":
    """Returns the bytes that are read as the nearest numbers.

    Args:
      values: Finite floats of any shape. Those outside the range become 0 or
        255.
      least: Lower end of the range.
      most: Upper end of the range.

    Returns:
      uint8 of the same shape.
    """
    scale, offset = dequantisation(least, most)
    steps = (values.astype("float64") - offset) / scale
    return steps.round().clip(0, MAX_BYTE).astype("uint8")

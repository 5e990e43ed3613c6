"""Shrinkage of the last layer's biases towards their mean.

The `inference_bias` of the released code of Bhardwaj et al., "Efficient video
classification using fewer frames", CVPR 2019: the bias `b` of the layer that
predicts the classes becomes `b / alpha + mean(b - b / alpha)`. Its mean stays.
"""

import math
import re
from collections.abc import Iterable

import numpy as np

# Of one dense layer, of the experts, of the layer on hidden ones.
_LAST_BIAS = re.compile(r"(^|/)classifier/(bias|experts_bias|output/bias)$")


def find_last_bias(names: Iterable[str]) -> str:
    """Returns the name of the last layer's bias among those of a network.

    Raises:
      ValueError: There is none, or several.
    """
    found = [name for name in names if _LAST_BIAS.search(name)]
    if len(found) != 1:
        raise ValueError(
            "bias_alpha is for a network whose classifier has one bias, found "
            f"{', '.join(found) or 'none'}."
        )
    return found[0]


def rescale_bias(bias: np.ndarray, alpha: float) -> np.ndarray:
    """Returns biases, of any shape, divided by alpha about their mean.

    Raises:
      ValueError: Alpha is not above 0, or not finite.
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"bias_alpha must be above 0, got {alpha}.")
    exact = bias.astype(np.float64)
    scaled = exact / alpha
    return (scaled + (exact - scaled).mean()).astype(bias.dtype)

"""The file of the classes' weights in the loss against labels."""

import math
from pathlib import Path

import numpy as np

from distill.system.small_files import read_small_text

_BYTES_A_LINE = 1_000


def read_class_weights(
    path: str | Path, num_classes: int, flag: str = "class_weights_file"
) -> np.ndarray:
    """Returns float32 `[classes]` of a file with one positive number a line.

    Line 1 is for class 0. `flag` names the file in messages.

    Raises:
      ValueError: A line holds something else, or the number of lines differs;
        the message names file and line.
    """
    try:
        text = read_small_text(path, _BYTES_A_LINE * (num_classes + 1))
    except ValueError as error:
        raise ValueError(
            f"{path} holds no weights of {num_classes} classes: {error} "
            f"(--{flag})."
        ) from error
    weights = []
    for number, line in enumerate(text.rstrip().splitlines(), start=1):
        try:
            weight = float(line)
        except ValueError:
            weight = math.nan
        if not 0 < weight < math.inf:
            raise ValueError(
                f"{path}, line {number}: a class's weight must be a positive "
                f"number, got {line.strip()!r} (--{flag})."
            )
        weights.append(weight)
    if len(weights) != num_classes:
        raise ValueError(
            f"{path} has {len(weights)} lines; it must hold one weight for "
            f"each of the {num_classes} classes (--{flag})."
        )
    return np.array(weights, np.float32)

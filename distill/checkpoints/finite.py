"""Losses and weights that are NaN or infinite, found before they are kept."""

from collections.abc import Mapping
from typing import Any

import numpy as np


class NonFiniteError(ValueError):
    """A loss, or a variable to be written, is NaN or infinite."""


def is_finite(values: np.ndarray) -> bool:
    """Returns whether no number is NaN or infinite; takes no extra memory."""
    if values.dtype.kind in "iub" or not values.size:
        return True
    # Both are NaN where a value is.
    return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def check_terms(terms: Mapping[str, Any], step: int) -> None:
    """Checks the terms of a step's loss.

    Raises:
      NonFiniteError: Their sum is not finite; the message names the step and
        the terms that are not.
    """
    if np.isfinite(float(terms["loss"])):
        return
    values = {name: float(term) for name, term in terms.items()}
    listed = ", ".join(
        f"{name} is {value}"
        for name, value in values.items()
        if name != "loss" and not np.isfinite(value)
    )
    raise NonFiniteError(
        f"Step {step}: the loss is {values['loss']}"
        f"{f' ({listed})' if listed else ''}."
    )


def check_finite(groups: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks the variables of a run.

    Raises:
      NonFiniteError: A value is NaN or infinite; the message names the first
        variable that holds one.
    """
    for group, variables in groups.items():
        for name, variable in variables.items():
            if not is_finite(np.asarray(variable)):
                raise NonFiniteError(
                    f"{group}/{name} holds a value that is NaN or infinite."
                )

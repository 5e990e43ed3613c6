"""Processes among which the videos of a metric are divided."""

from typing import Protocol

import numpy as np


class Peers(Protocol):
    """Processes that each hold some of the videos; by default one holds all."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum over the processes of int64 or float64 arrays."""
        return values

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """Returns the arrays of all processes, `[n, ...]` each."""
        return [values]


class _Alone(Peers):
    """One process that holds all videos."""


ALONE = _Alone()

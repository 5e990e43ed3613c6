"""Processes among which the videos of a metric are divided."""

from typing import Protocol

import numpy as np


class Peers(Protocol):
    """Processes that each hold some of the videos."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum over the processes of int64 or float64 arrays."""

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """Returns the arrays of all processes, `[n, ...]` each."""


class Alone:
    """One process that holds all videos."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the values."""
        return values

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """Returns a list of the values alone."""
        return [values]


ALONE = Alone()

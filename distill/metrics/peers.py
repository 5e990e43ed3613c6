"""Where metrics are gathered: by one process, or by several at once."""

from typing import Protocol

import numpy as np


class Peers(Protocol):
    """The processes that each hold a share of the videos."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum over the processes of int64 or float64 arrays."""

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """Returns the arrays of all processes, `[n, ...]` each."""


class Alone:
    """One process, which holds all."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the values."""
        return values

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """Returns the values as the only ones."""
        return [values]


ALONE = Alone()

"""Graphs for runtimes in which no shape may follow from a value.

Such runtimes know neither loops over lists of tensors nor selections of as
many rows as a condition holds for: recurrences are unrolled, and nothing is
left out of a computation because it would be masked.
"""

import contextlib
import contextvars
from collections.abc import Iterator

_FIXED = contextvars.ContextVar("fixed_shapes", default=False)


@contextlib.contextmanager
def fixed_shapes() -> Iterator[None]:
    """Has the models that are traced in the body keep their shapes fixed."""
    token = _FIXED.set(True)
    try:
        yield
    finally:
        _FIXED.reset(token)


def shapes_are_fixed() -> bool:
    """Returns whether the body of `fixed_shapes` is running."""
    return _FIXED.get()

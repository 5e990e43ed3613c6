"""Graphs for runtimes in which no shape may depend on a value.

Such runtimes have neither loops over lists of tensors nor boolean masks that
select rows: recurrences are unrolled, and masked values are computed too.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import keras

_FIXED = contextvars.ContextVar("fixed_shapes", default=False)


@contextlib.contextmanager
def fixed_shapes() -> Iterator[None]:
    """Makes models that are traced in the body keep their shapes fixed."""
    token = _FIXED.set(True)
    try:
        yield
    finally:
        _FIXED.reset(token)


def shapes_are_fixed() -> bool:
    """Returns whether the body of `fixed_shapes` is running."""
    return _FIXED.get()


def shapes_may_vary() -> bool:
    """Returns whether a shape may depend on a value, as JAX's may not."""
    return keras.backend.backend() != "jax" and not shapes_are_fixed()

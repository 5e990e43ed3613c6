"""Random numbers of their own for the parts of a batch."""

import contextlib
import functools
import threading
from collections.abc import Iterable, Iterator

import keras
import tensorflow as tf

# Far from what any seed and count of calls adds up to.
_DISTANCE = 0x9E3779B1


class PartSeeds:
    """Makes the random layers of models draw anew for every part of a batch.

    The states of the generators say which step it is, the part's number is
    added to what they give: whether parts are taken at once or by turns, on
    whichever device, they draw the same. Part 0 draws as without parts.

    Args:
      models: Those whose layers draw.
    """

    def __init__(self, models: Iterable[keras.Model]):
        # Replicas are traced in threads of their own.
        self._current = threading.local()
        self._generators = {
            id(generator): generator
            for model in models
            for layer in model._flatten_layers()
            for generator in layer._seed_generators
        }.values()
        for generator in self._generators:
            generator.next = functools.partial(self._next, generator.next)

    def _next(self, next_seed, *args, **kwargs):
        seed = next_seed(*args, **kwargs)
        part = getattr(self._current, "part", None)
        if part is None:
            return seed
        offset = tf.cast(part * _DISTANCE, seed.dtype)
        return seed + tf.stack([offset, tf.zeros_like(offset)])

    @contextlib.contextmanager
    def of_part(self, part: tf.Tensor, is_last: bool) -> Iterator[None]:
        """Draws for a part in the body (in the graph).

        Args:
          part: Scalar int64, its number.
          is_last: Whether the step ends with it; else the generators are left
            as they were.
        """
        before = [tf.identity(g.state.value) for g in self._generators]
        self._current.part = part
        try:
            yield
        finally:
            self._current.part = None
        if not is_last:
            for generator, state in zip(self._generators, before, strict=True):
                generator.state.assign(state)

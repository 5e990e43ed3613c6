"""Layers that depend on the micro-batch: random numbers, batch statistics.

Keras's `synchronized` batch normalisation knows no mask, and computes the
variance as a difference of large numbers; `shared_moments` does neither.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from distill.models import keras_private

# A large odd constant, so that offsets of micro-batches do not collide.
_SEED_DISTANCE = 0x9E3779B1


class MicroBatchSeeds:
    """Makes random layers draw other numbers for each micro-batch of a step.

    The state of a seed generator follows from the step. The number of the
    micro-batch is added to the seeds that it gives, so that a micro-batch
    draws the same numbers on any device and in any accumulation step.
    Micro-batch 0 draws the numbers of a whole batch.
    """

    def __init__(self, models: Iterable[keras.Model]):
        # Each replica is traced in its own thread.
        self._current = threading.local()
        self._generators = [
            generator
            for model in models
            for generator in keras_private.seed_generators(model)
        ]
        for generator in self._generators:
            generator.next = functools.partial(self._next, generator.next)

    def _next(
        self, next_seed: Callable[..., tf.Tensor], *args: Any, **kwargs: Any
    ) -> tf.Tensor:
        seed = next_seed(*args, **kwargs)
        number = getattr(self._current, "number", None)
        if number is None:
            return seed
        offset = tf.cast(number * _SEED_DISTANCE, seed.dtype)
        return seed + tf.stack([offset, tf.zeros_like(offset)])

    @contextlib.contextmanager
    def drawing(self, number: tf.Tensor, is_last: bool) -> Iterator[None]:
        """Draws for the micro-batch of a number, scalar int64 (in the graph).

        Unless this accumulation step is the step's last, the generators get
        their old states back.
        """
        before = [tf.identity(g.state.value) for g in self._generators]
        self._current.number = number
        try:
            yield
        finally:
            self._current.number = None
        if not is_last:
            for generator, state in zip(self._generators, before, strict=True):
                generator.state.assign(state)


def share_batch_norms(models: Iterable[keras.Model]) -> None:
    """Makes batch statistics in training those of all replicas together."""
    for model in models:
        for layer in keras_private.all_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                keras_private.replace_moments(layer, shared_moments)


def shared_moments(
    inputs: tf.Tensor, mask: tf.Tensor | None, axes: list[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns mean and variance over all replicas (in a replica's graph).

    Args:
      inputs: Floats `[..., dim]`.
      mask: Booleans `[...]`, False for padding; None for no padding.
      axes: All axes but the last.

    Returns:
      Two `[dim]` tensors; 0 where every replica has padding alone.
    """
    context = tf.distribute.get_replica_context()
    values = tf.cast(inputs, tf.float32)
    if mask is None:
        weights = tf.ones_like(values[..., :1])
    else:
        weights = tf.cast(mask, tf.float32)[..., None]
    count = tf.reduce_sum(weights)
    total = tf.reduce_sum(weights * values, axis=axes)
    count, total = context.all_reduce(
        tf.distribute.ReduceOp.SUM, [count, total]
    )
    mean = tf.math.divide_no_nan(total, count)
    squares = tf.reduce_sum(weights * tf.square(values - mean), axis=axes)
    squares = context.all_reduce(tf.distribute.ReduceOp.SUM, squares)
    variance = tf.math.divide_no_nan(squares, count)
    return tf.cast(mean, inputs.dtype), tf.cast(variance, inputs.dtype)

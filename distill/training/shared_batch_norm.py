"""Batch statistics of all replicas' parts, where Keras takes one's own.

Keras's `synchronized` knows no mask, and takes the variance as a difference of
large numbers.
"""

import functools
from collections.abc import Iterable

import keras
import tensorflow as tf


def share_batch_norms(models: Iterable[keras.Model]) -> None:
    """Makes batch statistics in training those of all replicas together."""
    for model in models:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer._moments = functools.partial(
                    shared_moments, axes=layer._reduction_axes
                )


def shared_moments(inputs, mask, axes):
    """Returns mean and variance over the replicas (in a replica's graph).

    Args:
      inputs: Floats `[..., dim]`.
      mask: Booleans without the last axis: what counts; None: all.
      axes: Those over which moments are taken.

    Returns:
      Two `[dim]` tensors; 0 where nothing counts on any replica.
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

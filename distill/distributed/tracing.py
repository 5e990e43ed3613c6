"""Graphs for batches of any size."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class BatchPolymorphicFunction:
    """A function traced once, for every batch size.

    Args:
      function: Takes nests of tensors; the first axis, where there is one, is
        the batch.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self._traced: Any = None

    def __call__(self, *inputs: Any) -> Any:
        """Calls the graph; the first call makes it."""
        if self._traced is None:
            signature = tf.nest.map_structure(_forget_batch_size, inputs)
            self._traced = tf.function(
                self._function, input_signature=signature, autograph=False
            )
        return self._traced(*inputs)


def _forget_batch_size(tensor: tf.Tensor) -> tf.TensorSpec:
    shape = [None, *tensor.shape[1:]] if tensor.shape.rank else []
    return tf.TensorSpec(shape, tensor.dtype)

"""Graphs that serve batches of any size."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class BatchPolymorphicFunction:
    """A function traced once, for whatever batch size comes.

    Args:
      function: From nests of tensors whose first axis, if they have one, is
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
                self._function, input_signature=signature
            )
        return self._traced(*inputs)


def _forget_batch_size(tensor: tf.Tensor) -> tf.TensorSpec:
    shape = [None, *tensor.shape[1:]] if tensor.shape.rank else []
    return tf.TensorSpec(shape, tensor.dtype)

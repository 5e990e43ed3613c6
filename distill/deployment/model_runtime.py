"""A Keras model in TensorFlow, as the runtimes of artifacts are called."""

import threading
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from distill.distributed.tracing import BatchPolymorphicFunction


class ModelRuntime:
    """A model from videos as stored to probabilities, as one graph.

    Args:
      model: A network's `raw_model()`, or what a `.keras` file holds.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        self._run: Any = BatchPolymorphicFunction(model)
        self._lock = threading.Lock()

    def __call__(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns float32 `[batch, classes]`."""
        tensors = {key: tf.constant(inputs[key]) for key in inputs}
        with self._lock:  # the first call traces
            predictions = self._run(tensors)
        return predictions.numpy()

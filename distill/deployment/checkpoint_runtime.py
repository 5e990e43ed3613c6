"""A network of a checkpoint as the runtime that artifacts are held against."""

import threading
from typing import Any

import numpy as np
import tensorflow as tf

from distill.tracing import AnyBatchSize


class CheckpointRuntime:
    """A network's model with all between it and videos as stored.

    Args:
      network: A network with a method `raw_model()`.
    """

    def __init__(self, network: Any):
        self.model = network.raw_model()
        self._run = AnyBatchSize(self.model)
        self._lock = threading.Lock()

    def __call__(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns float32 `[batch, classes]`."""
        tensors = {key: tf.constant(inputs[key]) for key in inputs}
        with self._lock:  # the first call traces
            predictions = self._run(tensors)
        return predictions.numpy()

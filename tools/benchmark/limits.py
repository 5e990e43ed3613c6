"""The machine's limits: rates of matrix products and of memory copies."""

import keras
import numpy as np
from keras import ops

_MATRIX = 4096
_COPIED_BYTES = 512 << 20


class MatrixProduct(keras.Model):
    """A large matrix product, in a model as the networks are.

    Args:
      precision: `float32` or `bfloat16`, of both factors.
    """

    def __init__(self, precision: str):
        super().__init__()
        self.factor = self.add_weight(
            shape=(_MATRIX, _MATRIX),
            initializer=keras.initializers.RandomNormal(0, _MATRIX**-0.5),
            dtype=precision,
            name="factor",
        )

    def call(self, inputs):
        """Returns the inputs plus an element of the product, `[batch, 1]`."""
        product = ops.matmul(self.factor, self.factor)
        return ops.cast(inputs, "float32") + ops.cast(
            product[:1, :1], "float32"
        )

    @staticmethod
    def rate(seconds: float) -> float:
        """Returns the MACs a second of a call that took so long."""
        return _MATRIX**3 / seconds


class MemoryCopy:
    """A copy of a large array."""

    def __init__(self):
        self._source = np.ones(_COPIED_BYTES // 8, np.float32)
        self._target = np.ones_like(self._source)

    def __call__(self) -> None:
        """Copies it."""
        np.copyto(self._target, self._source)

    @staticmethod
    def rate(seconds: float) -> float:
        """Returns the bytes copied a second by a copy that took so long."""
        return _COPIED_BYTES / seconds

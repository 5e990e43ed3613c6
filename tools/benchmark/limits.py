"""The machine's limits: rates of matrix products and of memory copies."""

import keras
import numpy as np
from keras import ops

_COPIED_BYTES = 512 << 20


class MatrixProduct(keras.Model):
    """A large matrix product, in a model as the networks are.

    Args:
      precision: `float32` or `bfloat16`, of both factors.
      size: Rows and columns of the matrix.
      count: Products one after the other, each with the matrix.
    """

    def __init__(self, precision: str, size: int = 4096, count: int = 1):
        super().__init__()
        self.size = size
        self.count = count
        self.factor = self.add_weight(
            shape=(size, size),
            initializer=keras.initializers.RandomNormal(0, size**-0.5),
            dtype=precision,
            name="factor",
        )

    def call(self, inputs):
        """Returns the inputs plus an element of the product, `[batch, 1]`."""
        product = self.factor
        for _ in range(self.count):
            product = ops.matmul(product, self.factor)
        return ops.cast(inputs, "float32") + ops.cast(
            product[:1, :1], "float32"
        )

    def rate(self, seconds: float) -> float:
        """Returns the MACs a second of a call that took so long."""
        return self.count * self.size**3 / seconds


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

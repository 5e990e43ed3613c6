"""A matrix with a batch norm of its outputs, or with a bias instead.

Ioffe and Szegedy, "Batch normalization", ICML 2015; the block that the
YouTube-8M starter code and its successors build from.
"""

import math

import keras

from distill.models.argument_checks import check_at_least
from distill.models.scaled_frames import multiply_frames
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class NormalizedDense(StoredArguments, keras.layers.Layer):
    """Multiplies by a matrix and normalises every output over the batch.

    Args:
      units: Number of outputs; None for as many as inputs.
      add_batch_norm: Whether the outputs are normalised; otherwise a bias is
        added.
      stddev: Standard deviation of the initial matrix; None takes one over
        the root of the number of inputs.

    Call arguments:
      inputs: `[batch, dim]` or `[batch, frames, dim]` floats, or
        `ScaledFrames`.
      real: `[batch, frames]` booleans, the frames in the batch's
        statistics; None: all.
      training: Whether the batch's statistics are used.

    Returns:
      `[batch, units]` or `[batch, frames, units]` floats.
    """

    def __init__(
        self,
        units: int | None = None,
        add_batch_norm: bool = True,
        stddev: float | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if units is not None:
            check_at_least(1, units=units)
        self.units = units
        self.add_batch_norm = add_batch_norm
        self.stddev = stddev
        self.norm = None
        if add_batch_norm:
            self.norm = self.make(keras.layers.BatchNormalization, "norm")

    def build(self, inputs_shape, real_shape=None):
        """Creates `kernel` `[dim, units]` and the batch norm or `bias`."""
        dim = inputs_shape[-1]
        units = self.units or dim
        stddev = dim**-0.5 if self.stddev is None else self.stddev
        self.kernel = self.add_weight(
            name="kernel",
            shape=(dim, units),
            initializer=keras.initializers.RandomNormal(stddev=stddev),
        )
        if self.norm is None:
            self.bias = self.add_weight(
                name="bias", shape=(units,), initializer="zeros"
            )
        else:
            self.norm.build((*inputs_shape[:-1], units))

    def call(self, inputs, real=None, training=False):
        """Returns the normalised products."""
        products = multiply_frames(inputs, self.kernel)
        return self.normalise(products, real, training)

    def normalise(self, outputs, real, training):
        """Returns the batch-normalised outputs, or adds the bias."""
        if self.norm is None:
            return outputs + self.bias
        return self.norm(outputs, mask=real, training=training)

    def macs(self, num_frames: int = 1) -> int:
        """Returns the MACs of `num_frames` vectors."""
        return num_frames * math.prod(self.kernel.shape)

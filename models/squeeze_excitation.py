"""Squeeze-and-excitation gating of a vector.

Hu, Shen and Sun, "Squeeze-and-excitation networks", CVPR 2018, as Lin, Xiao
and Fan 2018 (NeXtVLAD, section 3.3) apply it to a video's vector.
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least


@keras.saving.register_keras_serializable("models")
class SqueezeExcitation(keras.layers.Layer):
    """Multiplies a vector by gates computed through a narrow layer.

    `y = x * sigmoid(relu(BN(x G1)) G2)`, no biases beside the normalisation's.

    Args:
      reduction: How many times narrower the middle layer is; it has
        `dim // reduction` values, 1 at least.

    Call arguments:
      inputs: `[batch, dim]` floats.
      training: Whether batch statistics are used.

    Returns:
      `[batch, dim]`.

    Raises:
      ValueError: `reduction` is less than 1.
    """

    def __init__(self, reduction: int = 8, **kwargs):
        super().__init__(**kwargs)
        check_at_least(1, gating_reduction=reduction)
        self.reduction = reduction
        self.norm = keras.layers.BatchNormalization(
            epsilon=1e-3, dtype=self.dtype_policy, name="norm"
        )

    def build(self, input_shape):
        """Creates both matrices for `[batch, dim]`."""
        dim = input_shape[-1]
        narrow = max(1, dim // self.reduction)
        self.squeeze_kernel = self._add_matrix("squeeze_kernel", dim, narrow)
        self.excite_kernel = self._add_matrix("excite_kernel", narrow, dim)
        self.norm.build((None, narrow))

    def _add_matrix(self, name, rows, columns):
        return self.add_weight(
            name=name, shape=(rows, columns), initializer="glorot_uniform"
        )

    def call(self, inputs, training=False):
        """Returns the gated vectors."""
        squeezed = ops.matmul(inputs, self.squeeze_kernel)
        squeezed = ops.relu(self.norm(squeezed, training=training))
        gates = ops.sigmoid(ops.matmul(squeezed, self.excite_kernel))
        return inputs * gates

    def compute_output_shape(self, input_shape):
        """Returns `input_shape`."""
        return input_shape

    def macs(self) -> int:
        """Returns the MACs of one vector."""
        rows, columns = self.squeeze_kernel.shape
        return 2 * rows * columns

    def get_config(self):
        """Returns the constructor's argument."""
        return super().get_config() | {"reduction": self.reduction}

"""Context gating: a vector reweighs its own entries.

Miech, Laptev and Sivic, "Learnable pooling with context gating for video
classification", 2017 (arXiv 1706.06905), equation 5.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("models")
class ContextGating(keras.layers.Layer):
    """Multiplies a vector h by the gates sigmoid(BN(h G)).

    Args:
      remove_diagonal: Whether no entry has a say in its own gate: G's
        diagonal counts as zeros.
      add_batch_norm: Whether the gates are normalised over the batch before
        the sigmoid; otherwise a bias is added.

    Call arguments:
      inputs: `[batch, dim]` floats.
      training: Whether the batch's statistics are used.

    Returns:
      `[batch, dim]` floats: the inputs, each times a gate in [0, 1].
    """

    def __init__(
        self,
        remove_diagonal: bool = False,
        add_batch_norm: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.remove_diagonal = remove_diagonal
        self.add_batch_norm = add_batch_norm
        self.norm = None
        if add_batch_norm:
            self.norm = keras.layers.BatchNormalization(
                epsilon=1e-3, dtype=self.dtype_policy, name="norm"
            )

    def build(self, input_shape):
        """Creates `kernel` `[dim, dim]` and the batch norm or `bias`."""
        dim = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(dim, dim),
            initializer=keras.initializers.RandomNormal(stddev=dim**-0.5),
        )
        if self.norm is None:
            self.bias = self.add_weight(
                name="bias", shape=(dim,), initializer="zeros"
            )
        else:
            self.norm.build((None, dim))

    def call(self, inputs, training=False):
        """Returns the gated inputs."""
        gates = ops.matmul(inputs, self.kernel)
        if self.remove_diagonal:
            gates = gates - inputs * ops.diagonal(self.kernel)
        if self.norm is None:
            gates = gates + self.bias
        else:
            gates = self.norm(gates, training=training)
        return inputs * ops.sigmoid(gates)

    def compute_output_shape(self, input_shape):
        """Returns `[batch, dim]`."""
        return input_shape

    def macs(self) -> int:
        """Returns the MACs of one video."""
        return self.kernel.shape[0] ** 2

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "remove_diagonal": self.remove_diagonal,
            "add_batch_norm": self.add_batch_norm,
        }

"""Dense layers with ReLU, one after another.

Batch normalisation: Ioffe and Szegedy, "Batch normalization: accelerating deep
network training by reducing internal covariate shift", ICML 2015.
"""

import keras
from keras import ops


def dense_macs(dense: keras.layers.Dense) -> int:
    """Returns the MACs of a built dense layer on one vector."""
    rows, columns = dense.kernel.shape
    return rows * columns


@keras.saving.register_keras_serializable("models")
class DenseStack(keras.layers.Layer):
    """Dense layers with ReLU; dropout between them.

    Args:
      sizes: Width of every layer, one or more.
      dropout: Share of the values dropped between the layers in training; the
        last layer's output passes none.
      batch_norm: Whether every layer's sums are normalised over the batch
        before the ReLU; the normalisation's offset then replaces the bias.

    Call arguments:
      inputs: `[batch, dim]` floats.
      training: Whether dropout applies and batch statistics are used.

    Returns:
      `[batch, sizes[-1]]` floats of 0 or more.
    """

    def __init__(
        self,
        sizes: list[int],
        dropout: float = 0.0,
        batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.sizes = list(sizes)
        self.dropout = dropout
        self.batch_norm = batch_norm
        policy = self.dtype_policy
        self.denses = [
            keras.layers.Dense(
                size,
                use_bias=not batch_norm,
                kernel_initializer="he_normal",
                dtype=policy,
                name=f"dense_{index}",
            )
            for index, size in enumerate(self.sizes)
        ]
        self.norms = [
            keras.layers.BatchNormalization(
                epsilon=1e-3, dtype=policy, name=f"norm_{index}"
            )
            for index in range(len(self.sizes) if batch_norm else 0)
        ]
        self.drops = [
            keras.layers.Dropout(dropout, dtype=policy, name=f"drop_{index}")
            for index in range(1, len(self.sizes))
        ]

    def build(self, input_shape):
        """Builds the layers for `[batch, dim]`."""
        width = input_shape[-1]
        for index, dense in enumerate(self.denses):
            dense.build((None, width))
            width = dense.units
            if self.batch_norm:
                self.norms[index].build((None, width))

    def call(self, inputs, training=False):
        """Returns the last layer's output."""
        outputs = inputs
        for index, dense in enumerate(self.denses):
            if index > 0:
                outputs = self.drops[index - 1](outputs, training=training)
            outputs = dense(outputs)
            if self.batch_norm:
                outputs = self.norms[index](outputs, training=training)
            outputs = ops.relu(outputs)
        return outputs

    def compute_output_shape(self, input_shape):
        """Returns `[batch, sizes[-1]]`."""
        return (*input_shape[:-1], self.sizes[-1])

    def macs(self) -> int:
        """Returns the MACs of one vector."""
        return sum(dense_macs(dense) for dense in self.denses)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "sizes": self.sizes,
            "dropout": self.dropout,
            "batch_norm": self.batch_norm,
        }

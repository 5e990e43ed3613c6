"""Dense layers with ReLU, one after another, and a stack for every feature.

Batch normalisation: Ioffe and Szegedy, "Batch normalization: accelerating deep
network training by reducing internal covariate shift", ICML 2015.
"""

from collections.abc import Sequence

import keras
from keras import ops

from distill.models.feature_split import check_feature_sizes, split_features
from distill.models.stored_arguments import StoredArguments


def dense_macs(dense: keras.layers.Dense) -> int:
    """Returns the MACs of a built dense layer on one vector."""
    rows, columns = dense.kernel.shape
    return rows * columns


@keras.saving.register_keras_serializable("distill.models")
class DenseStack(StoredArguments, keras.layers.Layer):
    """Dense layers with ReLU; dropout between them.

    Args:
      sizes: Width of every layer, one or more.
      dropout: Dropout rate between the layers in training; none after the
        last.
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
        sizes: Sequence[int],
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


@keras.saving.register_keras_serializable("distill.models")
class FeatureTowers(StoredArguments, keras.layers.Layer):
    """Cuts a vector into its features and reads each by dense layers.

    Args:
      feature_sizes: Width of every feature, in order.
      tower_sizes: Width of every dense layer of each tower.
      dropout: Dropout rate between the layers in training.
      batch_norm: Whether every layer is batch-normalised.

    Call arguments:
      inputs: `[batch, sum(feature_sizes)]` floats.
      training: Whether dropout applies and batch statistics are used.

    Returns:
      `[batch, features * tower_sizes[-1]]`: the towers' outputs end to end.

    Raises:
      ValueError: `feature_sizes` do not fit the input.
    """

    def __init__(
        self,
        feature_sizes: Sequence[int],
        tower_sizes: Sequence[int],
        dropout: float = 0.0,
        batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = list(feature_sizes)
        self.tower_sizes = list(tower_sizes)
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.towers = [
            DenseStack(
                self.tower_sizes,
                dropout,
                batch_norm,
                dtype=self.dtype_policy,
                name=f"tower_{index}",
            )
            for index in range(len(self.feature_sizes))
        ]

    def build(self, input_shape):
        """Builds the towers for `[batch, sum(feature_sizes)]`."""
        check_feature_sizes(self.feature_sizes, input_shape[-1])
        for tower, size in zip(self.towers, self.feature_sizes, strict=True):
            tower.build((None, size))

    def call(self, inputs, training=False):
        """Returns the towers' outputs."""
        features = split_features(inputs, self.feature_sizes)
        outputs = [
            tower(feature, training=training)
            for tower, feature in zip(self.towers, features, strict=True)
        ]
        return ops.concatenate(outputs, axis=-1)

    def compute_output_shape(self, input_shape):
        """Returns `[batch, features * tower_sizes[-1]]`."""
        return (input_shape[0], len(self.towers) * self.tower_sizes[-1])

    def macs(self) -> int:
        """Returns the MACs of one video."""
        return sum(tower.macs() for tower in self.towers)

"""A tower of dense layers for every feature of a video."""

import keras
from keras import ops

from distill.models.dense_stack import DenseStack
from distill.models.feature_split import check_feature_sizes, split_features


@keras.saving.register_keras_serializable("models")
class FeatureTowers(keras.layers.Layer):
    """Cuts a vector into its features and reads each by dense layers.

    Args:
      feature_sizes: Width of every feature, in order.
      tower_sizes: Width of every dense layer of each tower.
      dropout: Share of the values dropped between the layers in training.
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
        feature_sizes: list[int],
        tower_sizes: list[int],
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

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "feature_sizes": self.feature_sizes,
            "tower_sizes": self.tower_sizes,
            "dropout": self.dropout,
            "batch_norm": self.batch_norm,
        }

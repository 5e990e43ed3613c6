"""The fully connected network over a video's features.

As the Label_YT_Videos repository builds it: one tower per feature, joined by
dense layers.
"""

import keras

from distill.models.dense_stack import DenseStack
from distill.models.feature_towers import FeatureTowers
from distill.models.input_norm import InputNorm
from distill.models.size_list import parse_sizes
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("models")
class FullyConnectedModel(VideoModel):
    """Classifies a video's features by a tower each and dense layers.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature, in order.
      tower_sizes: Width of every dense layer of a tower, comma-separated.
      hidden_sizes: Width of every dense layer after the towers,
        comma-separated.
      dropout: Share of values dropped in training before each layer after
        the first, the classifier included.
      input_batch_norm: Whether the features pass a batch normalisation.
      batch_norm: Whether every dense layer is batch-normalised (the reference
        does not).

    Call arguments:
      inputs: Dict of `features` `[batch, sum(feature_sizes)]` floats.
      training: Whether dropout applies and batch statistics are used.

    Returns:
      Dict of `embedding` `[batch, last hidden size]`, before dropout, and
      `predictions` `[batch, classes]` in [0, 1].

    Raises:
      ValueError: A list of sizes is not one, or `feature_sizes` do not fit
        the input.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        feature_sizes: tuple[int, ...],
        tower_sizes: str = "512,1024,4096,8192,4096",
        hidden_sizes: str = "4096",
        dropout: float = 0.0,
        input_batch_norm: bool = False,
        batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(classifier, **kwargs)
        self.drop_embedding(dropout)
        self.feature_sizes = tuple(feature_sizes)
        self.tower_sizes = tower_sizes
        self.hidden_sizes = hidden_sizes
        self.dropout = dropout
        self.input_batch_norm = input_batch_norm
        self.batch_norm = batch_norm
        policy = self.dtype_policy
        self.input_norm = InputNorm(
            input_batch_norm, dtype=policy, name="input_norm"
        )
        self.towers = FeatureTowers(
            self.feature_sizes,
            parse_sizes("tower_sizes", tower_sizes),
            dropout,
            batch_norm,
            dtype=policy,
            name="towers",
        )
        self.towers_drop = keras.layers.Dropout(
            dropout, dtype=policy, name="towers_drop"
        )
        self.hidden = DenseStack(
            parse_sizes("hidden_sizes", hidden_sizes),
            dropout,
            batch_norm,
            dtype=policy,
            name="hidden",
        )

    def build(self, input_shape):
        """Builds all layers for `features` `[batch, dim]`."""
        shape = tuple(input_shape["features"])
        self.input_norm.build(shape)
        self.towers.build(shape)
        joined_shape = self.towers.compute_output_shape(shape)
        self.hidden.build(joined_shape)
        self.classifier.build(self.hidden.compute_output_shape(joined_shape))
        self.built = True

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        features = self.input_norm(inputs["features"], training=training)
        joined = self.towers(features, training=training)
        joined = self.towers_drop(joined, training=training)
        embedding = self.hidden(joined, training=training)
        return self.classify(embedding, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video, whatever its length."""
        return self.towers.macs() + self.hidden.macs() + self.classifier.macs()

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "feature_sizes": list(self.feature_sizes),
            "tower_sizes": self.tower_sizes,
            "hidden_sizes": self.hidden_sizes,
            "dropout": self.dropout,
            "input_batch_norm": self.input_batch_norm,
            "batch_norm": self.batch_norm,
        }

"""The fully connected network over a video's features.

As the Label_YT_Videos repository builds it: one tower per feature, joined by
dense layers.
"""

import keras

from distill.models.argument_checks import parse_sizes
from distill.models.configs import FullyConnectedConfig
from distill.models.dense_stack import DenseStack, FeatureTowers
from distill.models.input_norm import InputNorm
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("distill.models")
class FullyConnectedModel(VideoModel):
    """Classifies a video's features by a tower each and dense layers.

    Dropout acts before each layer after the first, the classifier included.
    Inputs and outputs are those of `VideoModel`; the last dense layer's
    output is the embedding.

    Raises:
      ValueError: A list of sizes cannot be read, or `feature_sizes` do not
        fit the input.
    """

    config_class = FullyConnectedConfig
    config: FullyConnectedConfig

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        config, policy = self.config, self.dtype_policy
        self.drop_embedding(config.dropout)
        self.input_norm = InputNorm(
            config.input_batch_norm, dtype=policy, name="input_norm"
        )
        self.towers = FeatureTowers(
            self.feature_sizes,
            parse_sizes("tower_sizes", config.tower_sizes),
            config.dropout,
            config.batch_norm,
            dtype=policy,
            name="towers",
        )
        self.towers_drop = keras.layers.Dropout(
            config.dropout, dtype=policy, name="towers_drop"
        )
        self.hidden = DenseStack(
            parse_sizes("hidden_sizes", config.hidden_sizes),
            config.dropout,
            config.batch_norm,
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

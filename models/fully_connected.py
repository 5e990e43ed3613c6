"""The fully connected network over a video's features.

As the Label_YT_Videos repository builds it: one tower per feature, joined by
dense layers.
"""

import keras

from distill.models.configs import FullyConnectedConfig
from distill.models.dense_stack import make_hidden, make_towers
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("distill.models")
class FullyConnectedModel(VideoModel):
    """Classifies a video's features by a tower each and dense layers.

    Dropout acts before each layer after the first, the classifier included.
    The last dense layer's output is the embedding.
    """

    config: FullyConnectedConfig

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        config = self.config
        self.drop_embedding(config.dropout)
        self.normalise_inputs(config.input_batch_norm)
        self.towers = make_towers(self, config.dropout)
        self.towers_drop = self.make(
            keras.layers.Dropout, "towers_drop", config.dropout
        )
        self.hidden = make_hidden(self, config.dropout, config.batch_norm)

    def build(self, input_shape):
        """Builds all layers for `features` `[batch, dim]`."""
        shape = tuple(input_shape["features"])
        self.input_norm.build(shape)
        self.towers.build(shape)
        self.hidden.build((None, self.towers.width))
        self.classifier.build((None, self.hidden.sizes[-1]))

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

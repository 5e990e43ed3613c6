"""Dense layers on the mean and maximum of a video's frames.

A cheap baseline that ignores the order of the frames.
"""

import keras
from keras import ops

from distill.models.configs import PooledNetworkConfig
from distill.models.dense_stack import make_hidden
from distill.models.frame_mask import (
    average_frames,
    frame_mask,
    maximum_over_frames,
)
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("distill.models")
class PooledNetworkModel(VideoModel):
    """Classifies the mean and the maximum over frames by dense layers.

    Both are 0 for a video without frames; the last layer's output is the
    embedding. Dropout acts before each layer after the first, the classifier
    included.
    """

    config: PooledNetworkConfig

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        self.drop_embedding(self.config.dropout)
        self.normalise_inputs(self.config.input_batch_norm)
        self.hidden = make_hidden(self, self.config.dropout)

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        features = input_shape["frames"][-1]
        self.input_norm.build((None, None, features))
        self.hidden.build((None, 2 * features))
        self.classifier.build((None, self.hidden.sizes[-1]))

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames = inputs["frames"]
        mask = frame_mask(frames, inputs["num_frames"])
        frames = self.input_norm(frames, mask, training=training)
        pooled = ops.concatenate(
            [average_frames(frames, mask), maximum_over_frames(frames, mask)],
            axis=-1,
        )
        embedding = self.hidden(pooled, training=training)
        return self.classify(embedding, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video, whatever its length."""
        return self.hidden.macs() + self.classifier.macs()

"""Models that are a classifier alone: of a video's vector or mean frame."""

import keras

from distill.models.frame_mask import average_frames, frame_mask
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("distill.models")
class VideoLevelClassifier(VideoModel):
    """Classifies a video's feature vector directly.

    The embedding is the features themselves.
    """

    def build(self, input_shape):
        """Builds the classifier for `features` `[batch, dim]`."""
        self.classifier.build(tuple(input_shape["features"]))

    def call(self, inputs, training=False):
        """Returns the features and the predictions."""
        return self.classify(inputs["features"], training)


@keras.saving.register_keras_serializable("distill.models")
class FrameLevelLogisticModel(VideoModel):
    """Classifies the mean of a video's real frames.

    YouTube-8M starter code, `FrameLevelLogisticModel`. The embedding is the
    mean, zero for a video without frames.
    """

    def build(self, input_shape):
        """Builds the classifier for `frames` `[batch, frames, features]`."""
        self.classifier.build((None, input_shape["frames"][-1]))

    def call(self, inputs, training=False):
        """Returns the mean and the predictions."""
        frames, num_frames = inputs["frames"], inputs["num_frames"]
        mean = average_frames(frames, frame_mask(frames, num_frames))
        return self.classify(mean, training)

"""The mean of a video's frames, classified.

YouTube-8M starter code, `FrameLevelLogisticModel`.
"""

import keras

from distill.models.frame_mask import average_frames, frame_mask
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("models")
class FrameLevelLogisticModel(VideoModel):
    """Classifies the mean of a video's real frames.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`; the
        reference's is logistic.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats and
        `num_frames` `[batch]` ints. What lies at or beyond `num_frames` has
        no effect.

    Returns:
      Dict of `embedding` `[batch, features]`, the mean, zero for a video
      without frames, and `predictions` `[batch, classes]` in [0, 1].
    """

    def build(self, input_shape):
        """Builds the classifier for `frames` `[batch, frames, features]`."""
        self.classifier.build((None, input_shape["frames"][-1]))
        self.built = True

    def call(self, inputs, training=False):
        """Returns the mean and the predictions."""
        frames, num_frames = inputs["frames"], inputs["num_frames"]
        mean = average_frames(frames, frame_mask(frames, num_frames))
        return self.classify(mean, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video, whatever its length."""
        return self.classifier.macs()

"""A classifier on its own, for videos given as one vector."""

import keras

from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("models")
class VideoLevelClassifier(VideoModel):
    """Classifies a video's feature vector directly.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.

    Call arguments:
      inputs: Dict of `features` `[batch, dim]` floats.

    Returns:
      Dict of `embedding` `[batch, dim]`, the features themselves, and
      `predictions` `[batch, classes]` in [0, 1].
    """

    def build(self, input_shape):
        """Builds the classifier for `features` `[batch, dim]`."""
        self.classifier.build(tuple(input_shape["features"]))
        self.built = True

    def call(self, inputs, training=False):
        """Returns the features and the predictions."""
        return self.classify(inputs["features"], training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video, whatever its length."""
        return self.classifier.macs()

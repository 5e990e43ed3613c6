"""The video-level network and the Stream-LSTM, joined before dense layers.

As the Label_YT_Videos repository joins them.
"""

import keras
from keras import ops

from distill.models.feature_towers import FeatureTowers
from distill.models.frame_mask import average_frames, frame_mask
from distill.models.size_list import parse_sizes
from distill.models.stream_lstm import StreamLstmModel


@keras.saving.register_keras_serializable("models")
class CombinedModel(StreamLstmModel):
    """Classifies a video by streams over its frames and towers over their mean.

    The mean of the real frames stands in for the video-level features.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature of a frame, in order.
      tower_sizes: Width of every dense layer of a tower, comma-separated.
      **kwargs: Further arguments of `StreamLstmModel`; `hidden_dropout` and
        `batch_norm` are the towers' too.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, sum(feature_sizes)]` floats
        and `num_frames` `[batch]` ints. What lies at or beyond `num_frames`
        has no effect.
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
        **kwargs,
    ):
        super().__init__(classifier, feature_sizes, **kwargs)
        self.tower_sizes = tower_sizes
        self.towers = FeatureTowers(
            self.feature_sizes,
            parse_sizes("tower_sizes", tower_sizes),
            self.hidden_dropout,
            self.batch_norm,
            dtype=self.dtype_policy,
            name="towers",
        )

    def _build_beside(self, features):
        shape = (None, features)
        self.towers.build(shape)
        width = self.towers.compute_output_shape(shape)[-1]
        return width + super()._build_beside(features)

    def _join(self, frames, num_frames, training):
        states = super()._join(frames, num_frames, training)
        mean = average_frames(frames, frame_mask(frames, num_frames))
        videos = self.towers(mean, training=training)
        return ops.concatenate([videos, states], axis=-1)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return super().macs(num_frames) + self.towers.macs()

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"tower_sizes": self.tower_sizes}

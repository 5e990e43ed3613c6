"""Mean and maximum of a video's frames, read by dense layers.

A cheap baseline: nothing in it knows the order of the frames.
"""

import keras
from keras import ops

from distill.models.dense_stack import DenseStack
from distill.models.frame_mask import average_frames, frame_mask
from distill.models.frame_maximum import maximum_over_frames
from distill.models.input_norm import InputNorm
from distill.models.size_list import parse_sizes
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("models")
class PooledNetworkModel(VideoModel):
    """Classifies the mean and the maximum over frames by dense layers.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      hidden_sizes: Width of every dense layer (ReLU), comma-separated.
      dropout: Share of values dropped in training before each layer after
        the first, the classifier included.
      input_batch_norm: Whether the frames pass a batch normalisation, whose
        statistics are those of the real frames.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats and
        `num_frames` `[batch]` ints. What lies at or beyond `num_frames` has
        no effect; a video without frames has mean and maximum 0.
      training: Whether dropout applies and batch statistics are used.

    Returns:
      Dict of `embedding` `[batch, last hidden size]`, before dropout, and
      `predictions` `[batch, classes]` in [0, 1].

    Raises:
      ValueError: `hidden_sizes` is not a list of sizes.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        hidden_sizes: str = "1024",
        dropout: float = 0.0,
        input_batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(classifier, **kwargs)
        self.drop_embedding(dropout)
        self.hidden_sizes = hidden_sizes
        self.dropout = dropout
        self.input_batch_norm = input_batch_norm
        policy = self.dtype_policy
        self.input_norm = InputNorm(
            input_batch_norm, dtype=policy, name="input_norm"
        )
        self.hidden = DenseStack(
            parse_sizes("hidden_sizes", hidden_sizes),
            dropout,
            dtype=policy,
            name="hidden",
        )

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        features = input_shape["frames"][-1]
        self.input_norm.build((None, None, features))
        self.hidden.build((None, 2 * features))
        self.classifier.build((None, self.hidden.sizes[-1]))
        self.built = True

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

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "hidden_sizes": self.hidden_sizes,
            "dropout": self.dropout,
            "input_batch_norm": self.input_batch_norm,
        }

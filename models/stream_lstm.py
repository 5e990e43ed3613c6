"""The Stream-LSTM: one recurrent stream per feature, joined by dense layers.

As the Label_YT_Videos repository builds it.
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.dense_stack import DenseStack
from distill.models.feature_streams import FeatureStreams
from distill.models.size_list import parse_sizes, size_per_feature
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("models")
class StreamLstmModel(VideoModel):
    """Classifies a video by the final states of one stream per feature.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature of a frame, in order.
      stream_input_size: Width of the dense layer that each stream begins with.
      stream_cells: Cells of the LSTMs of each feature's stream,
        comma-separated; the last number serves all further features.
      hidden_sizes: Width of every dense layer after the streams,
        comma-separated.
      dropout: Share of the streams' states dropped in training.
      hidden_dropout: Share of values dropped in training before each dense
        layer after the first and before the classifier.
      batch_norm: Whether the dense layers after the streams are
        batch-normalised (the reference's are not).

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
        stream_input_size: int = 512,
        stream_cells: str = "1024,128",
        hidden_sizes: str = "8192,4096",
        dropout: float = 0.5,
        hidden_dropout: float = 0.0,
        batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(classifier, **kwargs)
        self.drop_embedding(hidden_dropout)
        check_at_least(1, stream_input_size=stream_input_size)
        self.feature_sizes = tuple(feature_sizes)
        self.stream_input_size = stream_input_size
        self.stream_cells = stream_cells
        self.hidden_sizes = hidden_sizes
        self.dropout = dropout
        self.hidden_dropout = hidden_dropout
        self.batch_norm = batch_norm
        policy = self.dtype_policy
        self.streams = FeatureStreams(
            self.feature_sizes,
            stream_input_size,
            size_per_feature(
                parse_sizes("stream_cells", stream_cells),
                len(self.feature_sizes),
            ),
            dtype=policy,
            name="streams",
        )
        self.streams_drop = keras.layers.Dropout(
            dropout, dtype=policy, name="streams_drop"
        )
        self.hidden = DenseStack(
            parse_sizes("hidden_sizes", hidden_sizes),
            hidden_dropout,
            batch_norm,
            dtype=policy,
            name="hidden",
        )

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        features = input_shape["frames"][-1]
        self.streams.build((None, None, features))
        joined_shape = (None, self._build_beside(features))
        self.hidden.build(joined_shape)
        self.classifier.build(self.hidden.compute_output_shape(joined_shape))
        self.built = True

    def _build_beside(self, features):
        """Builds what joins the streams; returns the width of all together."""
        return sum(self.streams.cells)

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames = inputs["frames"]
        num_frames = ops.cast(inputs["num_frames"], "int32")
        joined = self._join(frames, num_frames, training)
        embedding = self.hidden(joined, training=training)
        return self.classify(embedding, training)

    def _join(self, frames, num_frames, training):
        """Returns the vectors that the dense layers read."""
        states = self.streams(frames, num_frames, training=training)
        return self.streams_drop(states, training=training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return (
            self.streams.macs(num_frames)
            + self.hidden.macs()
            + self.classifier.macs()
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "feature_sizes": list(self.feature_sizes),
            "stream_input_size": self.stream_input_size,
            "stream_cells": self.stream_cells,
            "hidden_sizes": self.hidden_sizes,
            "dropout": self.dropout,
            "hidden_dropout": self.hidden_dropout,
            "batch_norm": self.batch_norm,
        }

"""The Stream-LSTM: one recurrent stream per feature, joined by dense layers.

As the Label_YT_Videos repository builds it, alone and combined with its
video-level network.
"""

import keras
from keras import ops

from distill.models.argument_checks import parse_sizes
from distill.models.configs import CombinedConfig, StreamLstmConfig
from distill.models.dense_stack import (
    PerFeature,
    dense_macs,
    make_hidden,
    make_towers,
)
from distill.models.feature_split import size_per_feature
from distill.models.frame_mask import average_frames, frame_mask
from distill.models.frame_recurrence import (
    make_lstm,
    read_real_frames,
    reverse_real_frames,
    step_macs,
)
from distill.models.stored_arguments import StoredArguments
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("distill.models")
class LstmStream(StoredArguments, keras.layers.Layer):
    """A dense layer, an LSTM forward, one backward over its outputs.

    Args:
      input_size: Width of the dense layer (ReLU) before the LSTMs.
      cells: Cells of both LSTMs.

    Call arguments:
      frames: `[batch, frames, features]` floats.
      num_frames: int32 `[batch]`. Frames at or beyond it have no effect.

    Returns:
      `[batch, cells]`: the backward LSTM's state after the first frame, zero
      for a video without frames.
    """

    def __init__(self, input_size: int, cells: int, **kwargs):
        super().__init__(**kwargs)
        self.input_size = input_size
        self.cells = cells
        self.dense = self.make(
            keras.layers.Dense, "dense", input_size, activation="relu"
        )
        self.forward_lstm = self.make(make_lstm, "forward", cells)
        self.backward_lstm = self.make(
            make_lstm, "backward", cells, return_sequences=False
        )

    def build(self, frames_shape, num_frames_shape=None):
        """Builds the layers for `[batch, frames, features]`."""
        self.dense.build(tuple(frames_shape))
        self.forward_lstm.build((*frames_shape[:-1], self.input_size))
        self.backward_lstm.build((*frames_shape[:-1], self.cells))

    def call(self, frames, num_frames, training=False):
        """Returns the backward LSTM's final state."""
        outputs, _ = read_real_frames(
            self.forward_lstm, self.dense(frames), num_frames, training
        )
        _, state = read_real_frames(
            self.backward_lstm,
            reverse_real_frames(outputs, num_frames),
            num_frames,
            training,
        )
        return state

    def compute_output_shape(self, frames_shape, num_frames_shape=None):
        """Returns `[batch, cells]`."""
        return (frames_shape[0], self.cells)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return num_frames * (
            dense_macs(self.dense)
            + step_macs(self.forward_lstm)
            + step_macs(self.backward_lstm)
        )


@keras.saving.register_keras_serializable("distill.models")
class StreamLstmModel(VideoModel):
    """Classifies a video by the final states of one stream per feature.

    Dropout acts on the streams' states, `hidden_dropout` before each dense
    layer after the first and before the classifier. The last dense layer's
    output is the embedding.
    """

    config: StreamLstmConfig

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        config = self.config
        self.drop_embedding(config.hidden_dropout)
        cells = size_per_feature(
            parse_sizes("stream_cells", config.stream_cells),
            len(self.feature_sizes),
        )
        input_size = config.stream_input_size
        streams = [
            self.make(LstmStream, f"stream_{index}", input_size, number)
            for index, number in enumerate(cells)
        ]
        self.streams = self.make(
            PerFeature, "streams", self.feature_sizes, streams
        )
        self.streams_drop = self.make(
            keras.layers.Dropout, "streams_drop", config.dropout
        )
        self.hidden = make_hidden(
            self, config.hidden_dropout, config.batch_norm
        )

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        features = input_shape["frames"][-1]
        self.streams.build((None, None, features))
        self.hidden.build((None, self._build_joined(features)))
        self.classifier.build((None, self.hidden.sizes[-1]))

    def _build_joined(self, features: int) -> int:
        """Builds layers beside the streams; returns the joint width."""
        return self.streams.width

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames = inputs["frames"]
        num_frames = ops.cast(inputs["num_frames"], "int32")
        joined = self._join(frames, num_frames, training)
        embedding = self.hidden(joined, training=training)
        return self.classify(embedding, training)

    def _join(self, frames, num_frames, training):
        states = self.streams(frames, num_frames, training=training)
        return self.streams_drop(states, training=training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return (
            self.streams.macs(num_frames)
            + self.hidden.macs()
            + self.classifier.macs()
        )


@keras.saving.register_keras_serializable("distill.models")
class CombinedModel(StreamLstmModel):
    """Classifies a video by streams over its frames and towers over their mean.

    The mean of the real frames takes the place of the video-level features.
    """

    config: CombinedConfig

    def make_layers(self) -> None:
        """Makes the streams and the towers."""
        super().make_layers()
        self.towers = make_towers(self, self.config.hidden_dropout)

    def _build_joined(self, features: int) -> int:
        self.towers.build((None, features))
        return self.towers.width + super()._build_joined(features)

    def _join(self, frames, num_frames, training):
        states = super()._join(frames, num_frames, training)
        mean = average_frames(frames, frame_mask(frames, num_frames))
        videos = self.towers(mean, training=training)
        return ops.concatenate([videos, states], axis=-1)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return super().macs(num_frames) + self.towers.macs()

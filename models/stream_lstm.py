"""The Stream-LSTM: one recurrent stream per feature, joined by dense layers.

As the Label_YT_Videos repository builds it, alone and combined with its
video-level network.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from distill.models.argument_checks import parse_sizes
from distill.models.configs import CombinedConfig, StreamLstmConfig
from distill.models.dense_stack import (
    DenseStack,
    PerFeature,
    dense_macs,
    make_hidden,
    make_towers,
)
from distill.models.feature_split import size_per_feature
from distill.models.frame_mask import (
    average_frames,
    frame_mask,
    maximum_over_frames,
)
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
      input_size: Width of the dense layer before the LSTMs.
      cells: Cells of both LSTMs.
      output_size: Width of a dense layer (ReLU) on each output of the backward
        LSTM, whose maxima over time are read; 0: its final state is.
      head_sizes: Widths of dense layers (ReLU) on what is read.
      input_activation: Activation of the first dense layer.
      lstm_gates: As in `NotebookConfig`.

    Call arguments:
      frames: `[batch, frames, features]` floats.
      num_frames: int32 `[batch]`. Frames at or beyond it have no effect.

    Returns:
      `[batch, size]`, of the last of these widths; before the head zeros for a
      video without frames.
    """

    def __init__(
        self,
        input_size: int,
        cells: int,
        *,
        output_size: int = 0,
        head_sizes: Sequence[int] = (),
        input_activation: str = "relu",
        lstm_gates: str = "sigmoid",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.input_size = input_size
        self.cells = cells
        self.output_size = output_size
        self.head_sizes = list(head_sizes)
        self.input_activation = input_activation
        self.lstm_gates = lstm_gates
        self.dense = self.make(
            keras.layers.Dense, "dense", input_size, activation=input_activation
        )
        self.forward_lstm = self.make(
            make_lstm, "forward", cells, gates=lstm_gates
        )
        self.backward_lstm = self.make(
            make_lstm, "backward", cells, output_size > 0, lstm_gates
        )
        self.output_dense = self.head = None
        if output_size:
            self.output_dense = self.make(
                keras.layers.Dense, "output", output_size, activation="relu"
            )
        if self.head_sizes:
            self.head = self.make(DenseStack, "head", self.head_sizes)

    def build(self, frames_shape, num_frames_shape=None):
        """Builds the layers for `[batch, frames, features]`."""
        self.dense.build(tuple(frames_shape))
        self.forward_lstm.build((*frames_shape[:-1], self.input_size))
        self.backward_lstm.build((*frames_shape[:-1], self.cells))
        if self.output_dense is not None:
            self.output_dense.build((*frames_shape[:-1], self.cells))
        if self.head is not None:
            self.head.build((None, self.output_size or self.cells))

    def call(self, frames, num_frames, training=False):
        """Returns what is read of the backward LSTM."""
        outputs, _ = read_real_frames(
            self.forward_lstm, self.dense(frames), num_frames, training
        )
        outputs, (read, _) = read_real_frames(
            self.backward_lstm,
            reverse_real_frames(outputs, num_frames),
            num_frames,
            training,
        )
        if self.output_dense is not None:
            read = maximum_over_frames(
                self.output_dense(outputs), frame_mask(frames, num_frames)
            )
        return read if self.head is None else self.head(read)

    def compute_output_shape(self, frames_shape, num_frames_shape=None):
        """Returns `[batch, size]`."""
        sizes = [self.output_size or self.cells, *self.head_sizes]
        return (frames_shape[0], sizes[-1])

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        per_frame = dense_macs(self.dense)
        per_frame += step_macs(self.forward_lstm)
        per_frame += step_macs(self.backward_lstm)
        if self.output_dense is not None:
            per_frame += dense_macs(self.output_dense)
        head = 0 if self.head is None else self.head.macs()
        return num_frames * per_frame + head


@keras.saving.register_keras_serializable("distill.models")
class StreamLstmModel(VideoModel):
    """Classifies a video by one stream per feature.

    A stream ends in the maxima over time of a dense layer, without
    `published_form` in the final state of its backward LSTM. Dropout acts on
    the streams' outputs, `hidden_dropout` before each dense layer after the
    first and before the classifier. The last dense layer's output is the
    embedding.
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
        streams = [
            self.make(
                LstmStream,
                f"stream_{index}",
                config.stream_input_size,
                number,
                lstm_gates=config.lstm_gates,
                **self._stream_form(),
            )
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

    def _stream_form(self) -> dict[str, Any]:
        """Returns the arguments of `LstmStream` that say what is read."""
        if not self.config.published_form:
            return {}
        return {"output_size": self.config.stream_output_size}

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
        joined = self._join(inputs, training)
        embedding = self.hidden(joined, training=training)
        return self.classify(embedding, training)

    def _join(self, inputs, training):
        num_frames = ops.cast(inputs["num_frames"], "int32")
        read = self.streams(inputs["frames"], num_frames, training=training)
        return self.streams_drop(read, training=training)

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

    Each tower ends in scores of the classes. A stream, whose first dense layer
    has the activation tanh, passes a dense layer of `stream_head_size` and
    ends in such scores too; the dense layers join the scores. Without
    `published_form` they join the towers and the streams of `StreamLstmModel`
    themselves. The mean of the real frames takes the place of the video-level
    features, unless the inputs hold `features` `[batch, features]`.
    """

    config: CombinedConfig

    def make_layers(self) -> None:
        """Makes the streams and the towers."""
        super().make_layers()
        scores = [self.classifier.num_classes]
        self.towers = make_towers(
            self,
            self.config.hidden_dropout,
            scores if self.config.published_form else [],
        )

    def _stream_form(self) -> dict[str, Any]:
        if not self.config.published_form:
            return {}
        head_sizes = [self.config.stream_head_size, self.classifier.num_classes]
        return super()._stream_form() | {
            "head_sizes": head_sizes,
            "input_activation": "tanh",
        }

    def _build_joined(self, features: int) -> int:
        self.towers.build((None, features))
        return self.towers.width + super()._build_joined(features)

    def _join(self, inputs, training):
        read = super()._join(inputs, training)
        videos = inputs.get("features")
        if videos is None:
            frames = inputs["frames"]
            mask = frame_mask(frames, inputs["num_frames"])
            videos = average_frames(frames, mask)
        videos = self.towers(videos, training=training)
        return ops.concatenate([videos, read], axis=-1)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return super().macs(num_frames) + self.towers.macs()

"""Residual LSTM layers in alternating direction, pooled by maxima over time.

As the Label_YT_Videos repository builds its bidirectional LSTM; the residual
sums are after He et al., "Deep residual learning for image recognition", CVPR
2016.
"""

import keras
from keras import ops

from distill.models.configs import BiLstmConfig
from distill.models.dense_stack import DenseStack, dense_macs
from distill.models.frame_mask import frame_mask, maximum_over_frames
from distill.models.frame_recurrence import (
    make_lstm,
    read_real_frames,
    reverse_real_frames,
    step_macs,
)
from distill.models.stored_arguments import StoredArguments
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("distill.models")
class ResidualLstm(StoredArguments, keras.layers.Layer):
    """A dense layer plus an LSTM over its output.

    `y_t = d_t + LSTM(d_1 ... d_t)` with `d_t = relu(x_t W + b)`. An LSTM that
    reads backward gives its outputs in the order in which it reads, so that
    the first frame meets the output for the last one.

    Args:
      cells: Width of the dense layer and of the LSTM.
      backward: Whether the LSTM reads the real frames last to first.
      published_form: Otherwise the dense layer is linear, and the outputs are
        in the order of the frames.
      residual: Whether the dense layer's outputs are added; otherwise the
        LSTM's are returned alone.
      lstm_gates: As in `NotebookConfig`.

    Call arguments:
      frames: `[batch, frames, features]` floats.
      num_frames: int32 `[batch]`. Outputs at or beyond it are undefined
        and affect no other.

    Returns:
      `[batch, frames, cells]`.
    """

    def __init__(
        self,
        cells: int,
        backward: bool = False,
        *,
        published_form: bool = True,
        residual: bool = True,
        lstm_gates: str = "sigmoid",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cells = cells
        self.backward = backward
        self.published_form = published_form
        self.residual = residual
        self.lstm_gates = lstm_gates
        self.dense = self.make(
            keras.layers.Dense,
            "dense",
            cells,
            activation="relu" if published_form else None,
        )
        self.lstm = self.make(make_lstm, "lstm", cells, gates=lstm_gates)

    def build(self, frames_shape, num_frames_shape=None):
        """Builds both layers for `[batch, frames, features]`."""
        self.dense.build(tuple(frames_shape))
        self.lstm.build((*frames_shape[:-1], self.cells))

    def call(self, frames, num_frames, training=False):
        """Returns the sums."""
        projected = inputs = self.dense(frames)
        if self.backward:
            inputs = reverse_real_frames(inputs, num_frames)
        outputs, _ = read_real_frames(self.lstm, inputs, num_frames, training)
        if self.backward and not self.published_form:
            outputs = reverse_real_frames(outputs, num_frames)
        return projected + outputs if self.residual else outputs

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        per_frame = dense_macs(self.dense) + step_macs(self.lstm)
        return num_frames * per_frame


@keras.saving.register_keras_serializable("distill.models")
class BiLstmModel(VideoModel):
    """Classifies a video by the maxima over time of stacked residual LSTMs.

    The first layer reads forward, the second backward, and so on. The maxima
    are those of the last LSTM alone, without `published_form` those of the
    last sum. A dense layer with ReLU reads them, 0 for a video without frames;
    its output is the embedding. Dropout acts before it and before the
    classifier.
    """

    config: BiLstmConfig

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        config = self.config
        self.drop_embedding(config.dropout)
        self.normalise_inputs(config.input_batch_norm)
        self.recurrences = [
            self.make(
                ResidualLstm,
                f"residual_lstm_{index}",
                config.cells,
                backward=index % 2 == 1,
                published_form=config.published_form,
                residual=not config.published_form or index < config.layers - 1,
                lstm_gates=config.lstm_gates,
            )
            for index in range(config.layers)
        ]
        self.pooled_drop = self.make(
            keras.layers.Dropout, "pooled_drop", config.dropout
        )
        self.hidden = self.make(DenseStack, "hidden", [config.hidden_size])

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        shape = (None, None, input_shape["frames"][-1])
        self.input_norm.build(shape)
        for recurrence in self.recurrences:
            recurrence.build(shape)
            shape = (None, None, self.config.cells)
        self.hidden.build((None, self.config.cells))
        self.classifier.build((None, self.config.hidden_size))

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames = inputs["frames"]
        num_frames = ops.cast(inputs["num_frames"], "int32")
        mask = frame_mask(frames, num_frames)
        frames = self.input_norm(frames, mask, training=training)
        for recurrence in self.recurrences:
            frames = recurrence(frames, num_frames, training=training)
        pooled = maximum_over_frames(frames, mask)
        embedding = self.hidden(self.pooled_drop(pooled, training=training))
        return self.classify(embedding, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return (
            sum(layer.macs(num_frames) for layer in self.recurrences)
            + self.hidden.macs()
            + self.classifier.macs()
        )

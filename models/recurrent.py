"""LSTM and GRU layers over a video's frames.

Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997,
as `LstmModel` of the YouTube-8M starter code; Cho et al., "Learning phrase
representations using RNN encoder-decoder for statistical machine translation",
EMNLP 2014, as `GruModel` of Miech, Laptev and Sivic 2017 (the WILLOW code).
"""

import keras
from keras import ops

from distill.models.configs import GruConfig, LstmConfig, RecurrentConfig
from distill.models.frame_mask import average_frames, frame_mask
from distill.models.frame_recurrence import (
    make_lstm,
    read_real_frames,
    reverse_real_frames,
    step_macs,
)
from distill.models.frame_sampling import SampleFrames
from distill.models.video_model import VideoModel


class RecurrentModel(VideoModel):
    """Classifies a video by stacked recurrent layers over its frames.

    Pooling `state` takes the final hidden states of the layers from
    `first_state` on, end to end; `whole_state` those of all layers, each after
    its cell state (LSTM), as the WILLOW code does; `mean` takes the mean of
    the last layer's outputs over the real frames. The embedding of a video
    without frames is zero. Dropout acts between the layers and before the
    classifier.
    """

    config: RecurrentConfig
    first_state = 0
    states_per_layer = 1

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        config = self.config
        self.drop_embedding(config.dropout)
        self.sampler = self.make_by_settings(SampleFrames, "sampler")
        self.normalise_inputs(config.input_batch_norm)
        self.recurrences = [
            self.make_recurrence(index) for index in range(config.layers)
        ]
        self.drops = [
            self.make(keras.layers.Dropout, f"drop_{index}", config.dropout)
            for index in range(1, config.layers)
        ]

    def make_recurrence(self, index: int) -> keras.layers.RNN:
        """Returns layer `index`, with `return_sequences` and `return_state`."""
        raise NotImplementedError

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        width = input_shape["frames"][-1]
        self.input_norm.build((None, None, width))
        for recurrence in self.recurrences:
            recurrence.build((None, None, width))
            width = self.config.cells
        if self.config.pooling == "state":
            width *= len(self.recurrences[self.first_state :])
        elif self.config.pooling == "whole_state":
            width *= len(self.recurrences) * self.states_per_layer
        self.classifier.build((None, width))

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        num_frames = ops.cast(inputs["num_frames"], "int32")
        frames, num_frames = self.sampler(
            inputs["frames"], num_frames, training=training
        )
        mask = frame_mask(frames, num_frames)
        outputs = self.input_norm(frames, mask, training=training)
        states = []
        if self.config.reversed_time:
            outputs = reverse_real_frames(outputs, num_frames)
        for index, recurrence in enumerate(self.recurrences):
            if index > 0:
                outputs = self.drops[index - 1](outputs, training=training)
            outputs, final = read_real_frames(
                recurrence, outputs, num_frames, training
            )
            states.append(final)
        if self.config.pooling == "mean":
            embedding = average_frames(outputs, mask)
        elif self.config.pooling == "whole_state":
            whole = [state for final in states for state in reversed(final)]
            embedding = ops.concatenate(whole, axis=-1)
        else:
            hidden = [final[0] for final in states[self.first_state :]]
            embedding = ops.concatenate(hidden, axis=-1)
        return self.classify(embedding, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        per_frame = sum(map(step_macs, self.recurrences))
        num_read = self.sampler.num_read(num_frames)
        return num_read * per_frame + self.classifier.macs()


@keras.saving.register_keras_serializable("distill.models")
class LstmModel(RecurrentModel):
    """Stacked LSTM layers; the state is the last layer's hidden one."""

    config: LstmConfig
    first_state = -1
    states_per_layer = 2

    def make_recurrence(self, index: int) -> keras.layers.RNN:
        """Returns an LSTM layer."""
        return self.make(make_lstm, f"lstm_{index}", self.config.cells)


@keras.saving.register_keras_serializable("distill.models")
class GruModel(RecurrentModel):
    """Stacked GRU layers; the state is that of all layers.

    The reset gate is applied to the state before the candidate's matrix.
    """

    config: GruConfig

    def make_recurrence(self, index: int) -> keras.layers.RNN:
        """Returns a GRU layer."""
        return self.make(
            keras.layers.GRU,
            f"gru_{index}",
            self.config.cells,
            return_sequences=True,
            return_state=True,
            reset_after=False,
        )

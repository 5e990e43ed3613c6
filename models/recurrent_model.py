"""What the LSTM and the GRU model share: layers stacked over the frames."""

import keras
from keras import ops

from distill.models.argument_checks import check_choice
from distill.models.frame_mask import average_frames, frame_mask
from distill.models.frame_recurrence import (
    read_real_frames,
    reverse_real_frames,
    step_macs,
)
from distill.models.frame_sampling import SampleFrames
from distill.models.input_norm import InputNorm
from distill.models.video_model import VideoModel

POOLINGS = ("state", "mean")


class RecurrentModel(VideoModel):
    """Classifies a video by recurrent layers over its frames.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      cells: Cells of every layer.
      layers: Number of layers.
      reversed_time: Whether the real frames are read last to first.
      recurrent_pooling: `state` (the final states of the layers from
        `first_state` on, end to end) or `mean` (of the last layer's outputs
        over the real frames).
      dropout: Share of values dropped in training between the layers and
        before the classifier.
      input_batch_norm: Whether the frames pass a batch normalisation, whose
        statistics are those of the real frames.
      sample_frames: Frames drawn of a video in training; 0 reads them all.
      sample_random_frames: Whether each is drawn on its own; otherwise they
        are a run of consecutive frames.
      sample_at_evaluation: Whether frames are drawn outside training too.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats and
        `num_frames` `[batch]` ints. What lies at or beyond `num_frames` has
        no effect.
      training: Whether dropout and sampling apply.

    Returns:
      Dict of `embedding` `[batch, dim]`, before dropout, zero for a video
      without frames, and `predictions` `[batch, classes]` in [0, 1].

    Raises:
      ValueError: `recurrent_pooling` is unknown.
    """

    first_state = 0

    def __init__(
        self,
        classifier: keras.layers.Layer,
        cells: int,
        layers: int,
        reversed_time: bool = False,
        recurrent_pooling: str = "state",
        dropout: float = 0.0,
        input_batch_norm: bool = False,
        sample_frames: int = 0,
        sample_random_frames: bool = True,
        sample_at_evaluation: bool = False,
        **kwargs,
    ):
        super().__init__(classifier, **kwargs)
        self.drop_embedding(dropout)
        check_choice("recurrent_pooling", recurrent_pooling, POOLINGS)
        self.reversed_time = reversed_time
        self.recurrent_pooling = recurrent_pooling
        self.dropout = dropout
        self.input_batch_norm = input_batch_norm
        self.sample_frames = sample_frames
        self.sample_random_frames = sample_random_frames
        self.sample_at_evaluation = sample_at_evaluation
        policy = self.dtype_policy
        self.sampler = SampleFrames(
            sample_frames,
            sample_random_frames,
            sample_at_evaluation,
            dtype=policy,
            name="sampler",
        )
        self.input_norm = InputNorm(
            input_batch_norm, dtype=policy, name="input_norm"
        )
        self.recurrences = [
            self.make_recurrence(cells, index) for index in range(layers)
        ]
        self.drops = [
            keras.layers.Dropout(dropout, dtype=policy, name=f"drop_{index}")
            for index in range(1, layers)
        ]

    def make_recurrence(self, cells: int, index: int) -> keras.layers.RNN:
        """Returns layer `index`, which gives its sequence and its state."""
        raise NotImplementedError

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        width = input_shape["frames"][-1]
        self.input_norm.build((None, None, width))
        for recurrence in self.recurrences:
            recurrence.build((None, None, width))
            width = recurrence.units
        self.classifier.build((None, self._embedding_width()))
        self.built = True

    def _embedding_width(self):
        widths = [recurrence.units for recurrence in self.recurrences]
        if self.recurrent_pooling == "mean":
            return widths[-1]
        return sum(widths[self.first_state :])

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        num_frames = ops.cast(inputs["num_frames"], "int32")
        frames, num_frames = self.sampler(
            inputs["frames"], num_frames, training=training
        )
        embedding = self._read(frames, num_frames, training)
        return self.classify(embedding, training)

    def _read(self, frames, num_frames, training):
        mask = frame_mask(frames, num_frames)
        outputs = self.input_norm(frames, mask, training=training)
        states = []
        if self.reversed_time:
            outputs = reverse_real_frames(outputs, num_frames)
        for index, recurrence in enumerate(self.recurrences):
            if index > 0:
                outputs = self.drops[index - 1](outputs, training=training)
            outputs, state = read_real_frames(
                recurrence, outputs, num_frames, training
            )
            states.append(state)
        if self.recurrent_pooling == "mean":
            return average_frames(outputs, mask)
        return ops.concatenate(states[self.first_state :], axis=-1)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        per_frame = sum(map(step_macs, self.recurrences))
        num_read = self.sampler.num_read(num_frames)
        return num_read * per_frame + self.classifier.macs()

    def get_config(self):
        """Returns the arguments that the classes below share."""
        return super().get_config() | {
            "reversed_time": self.reversed_time,
            "recurrent_pooling": self.recurrent_pooling,
            "dropout": self.dropout,
            "input_batch_norm": self.input_batch_norm,
            "sample_frames": self.sample_frames,
            "sample_random_frames": self.sample_random_frames,
            "sample_at_evaluation": self.sample_at_evaluation,
        }

"""Weighted means of the parts of a video, whose weights are learned.

Ilse et al., "Attention-based deep multiple instance learning", ICML 2018,
weigh the instances of a bag by a small network; here the frames of each part.
"""

import math

import keras
from keras import ops

from distill.models.frame_budget import SEGMENT_MEANS, FrameBudget
from distill.models.frame_mask import frame_mask, zero_padding
from distill.models.frame_selection import part_borders, part_mask
from distill.models.preprocessing import l2_normalize
from distill.models.stored_arguments import StoredArguments

# Finite: see `frame_mask`. Outside a part a weight is exactly zero.
_LOWEST = -1e30


@keras.saving.register_keras_serializable("distill.models")
class SegmentAttention(StoredArguments, keras.layers.Layer):
    """Scores every frame and averages each part by the scores' softmax.

    The parts are those of `segment_means`. All scores of a new layer are zero,
    so it begins with plain means.

    Args:
      num_parts: Parts of a video; one of fewer frames keeps each.
      hidden_size: Units of the hidden layer that scores a frame.

    Call arguments:
      frames: `[batch, frames, features]`, vectors of norm 1.
      num_frames: Ints `[batch]`; frames at or beyond it are ignored.

    Returns:
      float32 `[batch, num_parts, features]`, the weighted means scaled to norm
      1, zeros beyond the last; int32 `[batch]`, the number of means.
    """

    def __init__(self, num_parts: int, hidden_size: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.num_parts = num_parts
        self.hidden_size = hidden_size
        self.hidden = self.make(
            keras.layers.Dense, "hidden", hidden_size, activation="relu"
        )
        self.score = self.make(
            keras.layers.Dense,
            "score",
            1,
            use_bias=False,
            kernel_initializer="zeros",
        )

    def build(self, frames_shape, num_frames_shape=None):
        """Builds the two dense layers."""
        del num_frames_shape
        batch, length, width = frames_shape
        self.hidden.build((batch, length, width))
        self.score.build((batch, length, self.hidden_size))

    def call(self, frames, num_frames):
        """Returns the weighted means and their number."""
        length, width = frames.shape[1:]
        # Scaled so that the mean square of a vector's values is 1.
        scores = self.score(self.hidden(math.sqrt(width) * frames))
        scores = ops.cast(scores, "float32")[:, None, :, 0]
        starts, ends, num_parts = part_borders(
            num_frames,
            FrameBudget(SEGMENT_MEANS, num_frames=self.num_parts),
            max(length, self.num_parts),
        )
        inside = part_mask(starts, ends, length)
        scores = ops.where(inside, scores, _LOWEST)
        # Not `ops.softmax`, which warns where a video has at most one frame.
        weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
        weights = weights / ops.sum(weights, axis=-1, keepdims=True)
        means = ops.matmul(weights, ops.cast(frames, "float32"))
        mask = frame_mask(means, num_parts)
        return zero_padding(l2_normalize(means), mask), num_parts

    def macs(self, num_frames: int, width: int) -> int:
        """Returns the MACs for the frames of a video, each of a width."""
        return num_frames * (self.hidden_size * (width + 1) + width)


@keras.saving.register_keras_serializable("distill.models")
class AttendedModel(StoredArguments, keras.Model):
    """Classifies the weighted means of a video's parts.

    A model that is already built keeps the names of its weights.

    Args:
      num_parts: Parts of a video, the frames that `model` reads.
      model: A frame-level model of the registry.

    Call arguments:
      inputs: The inputs of `model`, of any number of frames of norm 1.
      training: Passed on to the model.

    Returns:
      The outputs of `model`.
    """

    def __init__(self, num_parts: int, model: keras.Model, **kwargs):
        super().__init__(**kwargs)
        self.num_parts = num_parts
        self.model = model
        self.attention = self.make(SegmentAttention, "attention", num_parts)

    @property
    def classifier(self) -> keras.layers.Layer:
        """The model's classifier."""
        return self.model.classifier

    def build(self, input_shape):
        """Builds the attention, and the model unless it is built."""
        batch, _, self._width = input_shape["frames"]
        self.attention.build(tuple(input_shape["frames"]))
        if not self.model.built:
            means = (batch, self.num_parts, self._width)
            self.model.build(dict(input_shape) | {"frames": means})

    def call(self, inputs, training=False):
        """Returns the model's outputs for the weighted means."""
        means, num_parts = self.attention(
            inputs["frames"], inputs["num_frames"]
        )
        return self.model(
            dict(inputs) | {"frames": means, "num_frames": num_parts},
            training=training,
        )

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        attention = self.attention.macs(num_frames, self._width)
        return attention + self.model.macs(min(num_frames, self.num_parts))

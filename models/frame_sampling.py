"""Random frames of a video, drawn anew at every step.

YouTube-8M starter code, `SampleRandomFrames` and `SampleRandomSequence`.
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.frame_selection import take_frames
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class SampleFrames(StoredArguments, keras.layers.Layer):
    """Draws real frames of each video in training.

    Where frames are drawn, all videos come out equally long and without
    padding; a video without frames stays one. Single frames are drawn with
    replacement; in a run a shorter video repeats its last frame. Frames that
    are not sorted are read as drawn, and of a shorter video only as many as it
    has: so the recurrent models of Miech, Laptev and Sivic 2017. The arguments
    are the settings of `SamplingConfig` and the draws' `seed`; None takes one
    from Python's generator.

    Call arguments:
      frames: `[batch, frames, features]`.
      num_frames: `[batch]` ints, real frames of each video.
      training: Whether this is a training step.

    Returns:
      `frames` `[batch, sample_frames, features]` in time order and their
      `num_frames`; both as they were if nothing is drawn.
    """

    def __init__(
        self,
        sample_frames: int = 0,
        sample_random_frames: bool = True,
        sample_sorted: bool = True,
        sample_at_evaluation: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_at_least(0, sample_frames=sample_frames)
        self.sample_frames = sample_frames
        self.sample_random_frames = sample_random_frames
        self.sample_sorted = sample_sorted
        self.sample_at_evaluation = sample_at_evaluation
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames, num_frames, training=False):
        """Returns the frames drawn and how many are real."""
        if not self._draws(training):
            return frames, num_frames
        num_frames = ops.cast(num_frames, "int32")
        if self.sample_random_frames:
            positions = self._draw_frames(num_frames)
        else:
            positions = self._draw_run(num_frames)
        last = ops.minimum(num_frames, ops.shape(frames)[1]) - 1
        positions = ops.clip(positions, 0, ops.maximum(last, 0)[:, None])
        drawn = ops.where(num_frames > 0, self.sample_frames, 0)
        if self.sample_random_frames and not self.sample_sorted:
            drawn = ops.minimum(drawn, num_frames)
        return take_frames(frames, positions), ops.cast(drawn, "int32")

    def _draws(self, training):
        drawing = training or self.sample_at_evaluation
        return self.sample_frames > 0 and drawing

    def _draw_frames(self, num_frames):
        """Returns `[batch, sample_frames]` independent positions."""
        shape = (ops.shape(num_frames)[0], self.sample_frames)
        positions = self._draw(shape, num_frames[:, None])
        return ops.sort(positions, axis=1) if self.sample_sorted else positions

    def _draw_run(self, num_frames):
        """Returns `[batch, sample_frames]` consecutive positions."""
        num_starts = ops.maximum(num_frames - self.sample_frames, 0) + 1
        starts = self._draw((ops.shape(num_frames)[0],), num_starts)
        starts = ops.minimum(starts, num_starts - 1)
        return starts[:, None] + ops.arange(self.sample_frames, dtype="int32")

    def _draw(self, shape, bounds):
        """Returns whole numbers from 0 to the bounds."""
        shares = keras.random.uniform(
            shape, dtype="float32", seed=self.seed_generator
        )
        return ops.cast(shares * ops.cast(bounds, "float32"), "int32")

    def num_read(self, num_frames: int) -> int:
        """Returns how many frames of a video are read at evaluation."""
        return self.sample_frames if self._draws(False) else num_frames

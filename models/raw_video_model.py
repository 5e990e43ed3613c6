"""A model with its frame selection and preprocessing, for stored videos."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import select_frames
from distill.models.preprocessing import preprocess
from distill.models.quantisation import YT8M_RANGE
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class RawVideoModel(StoredArguments, keras.Model):
    """Predicts stored videos: selects, dequantises, normalises, classifies.

    Args:
      model: A model of the registry.
      budget: The frames that the model sees, a `FrameBudget` or its fields;
        not a random one.
      video_frames: The most frames of a video; 1 where it is one vector.
      model_frames: The frames that `model` is built for, at least those that
        the budget leaves.
      value_range: The least and the greatest value of the quantisation.

    Call arguments:
      inputs: Dict of `frames` uint8 `[batch, frames, features]`, at most
        `video_frames` of them (floats: taken as they are), and
        `num_frames` int `[batch]`; or of `features` float `[batch, features]`.
      training: No effect: such a model does not train.

    Returns:
      The predictions `[batch, classes]` in [0, 1].

    Raises:
      ValueError: The budget is drawn, or leaves too many frames.
    """

    def __init__(
        self,
        model: keras.Model,
        budget: FrameBudget | dict[str, Any],
        video_frames: int,
        model_frames: int,
        value_range: Sequence[float] = YT8M_RANGE,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_at_least(1, video_frames=video_frames, model_frames=model_frames)
        if not isinstance(budget, FrameBudget):
            budget = FrameBudget(**budget)
        if budget.num_draws(video_frames):
            raise ValueError(
                f"{budget.name} is drawn for each video anew: give a "
                "frame_selection that depends on the video's length alone."
            )
        num_inputs = budget.num_inputs(video_frames)
        if num_inputs > model_frames:
            raise ValueError(
                f"{budget.name} leaves {num_inputs} of {video_frames} frames, "
                f"the model reads {model_frames}."
            )
        self.model = model
        self.budget = budget
        self.video_frames = video_frames
        self.model_frames = model_frames
        self.value_range = tuple(value_range)

    def build(self, input_shape):
        """Builds the model unless it is built."""
        if not self.model.built:
            shape = dict(input_shape)
            if "frames" in shape:
                batch, _, width = shape["frames"]
                shape["frames"] = (batch, self.model_frames, width)
            self.model.build(shape)

    def call(self, inputs, training=False):
        """Returns the predictions."""
        selected = select_frames(
            fill_up(inputs, self.video_frames), self.budget, self.value_range
        )
        filled = fill_up(selected, self.model_frames)
        read = preprocess(filled, self.value_range)
        return self.model(read, training=False)["predictions"]

    def macs(self) -> int:
        """Returns the MACs of a video of the most frames."""
        return self.model.macs(self.budget.num_inputs(self.video_frames))


def fill_up(inputs, num_frames: int):
    """Pads `frames` `[batch, frames, features]`, if any, to a number of frames.

    Raises:
      ValueError: There are more.
    """
    if "frames" not in inputs:
        return inputs
    held = inputs["frames"].shape[1]
    if held == num_frames:
        return inputs
    if held > num_frames:
        raise ValueError(
            f"A video has at most {num_frames} frames here, got {held}."
        )
    padding = [[0, 0], [0, num_frames - held], [0, 0]]
    return {**inputs, "frames": ops.pad(inputs["frames"], padding)}

"""Records that hold the frames of a budget alone.

The frames are those that `distill.data.pipeline.VideoReader` selects of whole
videos at the same budget and `max_frames`: at the real length, after the cut
to `max_frames`; those of random_k are the ones that evaluation draws, the same
in every epoch. Whatever else a record holds stays as it is.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from distill.data.frame_draws import EVALUATION_KEY, draw_for_videos
from distill.data.records import BUDGET_KEY
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import frame_positions
from distill.settings.schema import DataSchema

# Of a record with a budget's frames: its source's name and the whole video's
# number of frames.
FILE_KEY = "source_file"
NUM_FRAMES_KEY = "source_frames"


@dataclasses.dataclass(frozen=True)
class KeptFrames:
    """Which frames are kept of every video.

    Attributes:
      schema: The videos' layout.
      budget: The frames.
    """

    schema: DataSchema
    budget: FrameBudget

    def __post_init__(self):
        """Checks the fields against each other."""
        schema, budget = self.schema, self.budget
        if not schema.frame_features or schema.segment_labels:
            raise ValueError(
                "Frames of frame-level videos alone can be kept: "
                "frame_features must be true and segment_labels false."
            )
        if budget.keeps_all:
            raise ValueError(
                "every_n=1 keeps every frame: give frame_budget, or an "
                "every_n of 2 or more."
            )
        if budget != budget.at_evaluation():
            raise ValueError(
                "random_offset and fewest_frames take other frames in every "
                "epoch; a record holds the same ones for all."
            )
        budget.width(schema.max_frames)
        for name in ("id_key", "labels_key"):
            if getattr(schema, name) in (BUDGET_KEY, FILE_KEY, NUM_FRAMES_KEY):
                raise ValueError(
                    f"{name} {getattr(schema, name)!r} is a key that says "
                    "where a budget's frames come from."
                )


def make_selector(
    settings: KeptFrames,
) -> Callable[[list[bytes], list[int]], list[np.ndarray]]:
    """Returns a function that selects the frames of some videos.

    It takes their ids and their numbers of frames, and returns the positions
    of each one's frames, in time order. Threads may share it.
    """
    budget, most = settings.budget, settings.schema.max_frames

    def select(ids, num_frames):
        draws = draw_for_videos(ids, budget.num_draws(most), EVALUATION_KEY)
        positions, kept = frame_positions(
            tf.minimum(num_frames, most), budget, most, draws
        )
        if positions is None:
            firsts = tf.zeros_like(num_frames)[:, None]
            positions = firsts + budget.every_n * tf.range(budget.width(most))
        return positions, kept

    compiled = tf.function(select, autograph=False).get_concrete_function(
        tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32)
    )

    def select_positions(ids, num_frames):
        positions, kept = compiled(tf.constant(ids), tf.constant(num_frames))
        pairs = zip(positions.numpy(), kept.numpy(), strict=True)
        return [row[:count] for row, count in pairs]

    return select_positions


def describe_obstacle(
    message: tf.train.SequenceExample, num_frames: int
) -> str | None:
    """Says why a good record cannot be left with some frames alone.

    Args:
      message: The record.
      num_frames: Its number of frames.
    """
    for key in (FILE_KEY, NUM_FRAMES_KEY):
        if key in message.context.feature:
            return f"it has the key {key!r}, under which its source is noted"
    for name, entries in message.feature_lists.feature_list.items():
        count = len(entries.feature)
        if count not in (0, num_frames):
            return (
                f"the feature list {name!r} has {count} entries and the video "
                f"{num_frames} frames, so which entries to keep is unknown"
            )
    return None


def keep_frames(
    message: tf.train.SequenceExample,
    positions: np.ndarray,
    budget: FrameBudget,
    source: str,
) -> None:
    """Leaves a budget's frames alone in a record, and notes their source.

    Args:
      message: A whole video of which `describe_obstacle` says nothing.
      positions: The frames to keep of every feature list.
      budget: Whose frames they are.
      source: Name of the file they come from.
    """
    lists = message.feature_lists.feature_list
    num_frames = max(len(entries.feature) for entries in lists.values())
    for entries in lists.values():
        if entries.feature:
            kept = [entries.feature[position] for position in positions]
            entries.CopyFrom(tf.train.FeatureList(feature=kept))
    context = message.context.feature
    context[BUDGET_KEY].bytes_list.value[:] = [budget.name.encode()]
    context[FILE_KEY].bytes_list.value.append(source.encode())
    context[NUM_FRAMES_KEY].int64_list.value.append(num_frames)

"""Records with rated segments, and their segments in plain Python.

Nothing here uses the code under test.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from distill.settings.schema import DataSchema
from tests.data.record_files import FRAME_SCHEMA
from tests.data.record_oracle import judge

SEGMENT_FRAMES = 5
SCHEMA = dataclasses.replace(
    FRAME_SCHEMA, num_classes=6, max_frames=SEGMENT_FRAMES, segment_labels=True
)


@dataclasses.dataclass
class RatedVideo:
    """A video and what people said of its segments.

    Attributes:
      id: The id.
      frames: uint8 `[frames, 5]`, 3 values of `rgb` and 2 of `audio`.
      ratings: (start, class, score) in the order of the record's lists.
    """

    id: str
    frames: np.ndarray
    ratings: list[tuple[int, int, float]]

    def message(self) -> tf.train.SequenceExample:
        """Returns the record."""
        record = tf.train.SequenceExample()
        context = record.context.feature
        context["id"].bytes_list.value.append(self.id.encode())
        context["labels"].int64_list.value.append(99)  # never looked at
        for start, label, score in self.ratings:
            times = {"start": start, "end": start + SEGMENT_FRAMES}
            for name, time in times.items():
                key = f"segment_{name}_times"
                context[key].int64_list.value.append(time)
            context["segment_labels"].int64_list.value.append(label)
            context["segment_scores"].float_list.value.append(score)
        lists = record.feature_lists.feature_list
        for frame in self.frames:
            for name, values in (("rgb", frame[:3]), ("audio", frame[3:])):
                feature = lists[name].feature.add()
                feature.bytes_list.value.append(values.tobytes())
        return record

    def serialize(self) -> bytes:
        """Returns the record's bytes."""
        return self.message().SerializeToString()

    def rated_segments(self) -> list[dict]:
        """Returns the segments with a rating, in the order they appear."""
        return judge(self.serialize(), SCHEMA, True).examples

    def all_segments(self, schema: DataSchema = SCHEMA) -> list[dict]:
        """Returns the segments from frame 0, 5, 10 ..., unrated."""
        return judge(self.serialize(), schema, False).examples


def draw_rated_videos(
    count: int, seed: int = 0, prefix: str = "v"
) -> list[RatedVideo]:
    """Draws videos of 5 to 32 frames with 1 to 4 rated segments.

    Class c shows, as a rule, where the mean of value c of the frames is high:
    so there is something to learn. Only whole segments are rated.
    """
    random = np.random.default_rng([seed, count])
    videos = []
    for index in range(count):
        num_frames = int(random.integers(5, 33))
        frames = random.integers(0, 256, (num_frames, 5), np.uint8)
        levels = random.integers(-90, 90, (-(-num_frames // 5), 5))
        shifted = frames + np.repeat(levels, 5, axis=0)[:num_frames]
        frames = np.clip(shifted, 0, 255).astype(np.uint8)
        whole = num_frames // 5
        chosen = random.permutation(whole)[: random.integers(1, 5)]
        ratings = []
        for segment in chosen.tolist():
            labels = random.permutation(SCHEMA.num_classes)
            for label in labels[: random.integers(1, 4)].tolist():
                level = levels[segment, label % 5] + random.normal(0, 30)
                ratings.append((5 * segment, label, float(level > 0)))
        # Ratings of one segment need not lie side by side.
        ratings = [ratings[i] for i in random.permutation(len(ratings))]
        videos.append(RatedVideo(f"{prefix}{index:03d}", frames, ratings))
    return videos

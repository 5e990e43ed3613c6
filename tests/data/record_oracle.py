"""An oracle of records: a video, or bad for one reason.

Decided by Google's protocol buffers, plain Python and NumPy; nothing of the
code under test is used.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from distill.settings.schema import DataSchema

UNREADABLE = "unreadable"


@dataclasses.dataclass
class Verdict:
    """The oracle's verdict on a record.

    Attributes:
      reason: Why it is bad; None for a good one.
      examples: Of a good one the videos, or segments, that are read of it: the
        values of each by their names in a batch.
    """

    reason: str | None
    examples: list[dict[str, Any]] = dataclasses.field(default_factory=list)


class _Unreadable(Exception):
    """Nothing can be read of the record."""


def is_plain(record: bytes, schema: DataSchema) -> bool:
    """Returns whether a record is spelled as protocol buffers write it.

    TensorFlow's parser refuses most records of another spelling.
    """
    kind = (
        tf.train.SequenceExample if schema.frame_features else tf.train.Example
    )
    try:
        message = kind.FromString(record)
    except DecodeError:
        return False
    message.DiscardUnknownFields()
    return message.SerializeToString(deterministic=True) == record


def judge(record: bytes, schema: DataSchema, need_labels: bool) -> Verdict:
    """Returns what a record is to a reader of all frames."""
    kind = (
        tf.train.SequenceExample if schema.frame_features else tf.train.Example
    )
    try:
        message = kind.FromString(record)
        if schema.segment_labels:
            return _judge_segments(message, schema, need_labels)
        return _judge_video(message, schema, need_labels)
    except (DecodeError, _Unreadable):
        return Verdict(UNREADABLE)


def _values(context, key, kind):
    """Returns the values of a key; none where it is missing."""
    held = context[key].WhichOneof("kind") if key in context else None
    if held not in (None, kind):
        raise _Unreadable
    return list(getattr(context[key], kind).value) if held else []


def _text(context, key):
    """Returns one string; an empty one where the key is missing."""
    if key not in context:
        return b""
    values = _values(context, key, "bytes_list")
    if len(values) != 1:
        raise _Unreadable
    return values[0]


def _frames(message, schema):
    """Returns each feature's frames as strings."""
    packed = _packed_frames(message.context.feature, schema)
    if any(packed):
        return packed
    lists = message.feature_lists.feature_list
    found = []
    for name in schema.feature_names:
        frames = list(lists[name].feature) if name in lists else []
        strings = [list(frame.bytes_list.value) for frame in frames]
        if any(len(values) != 1 for values in strings):
            raise _Unreadable
        found.append([values[0] for values in strings])
    return found


def _packed_frames(context, schema):
    """Returns each feature's packed frames; the last may be cut."""
    found = []
    for name, size in zip(
        schema.feature_names, schema.feature_sizes, strict=True
    ):
        value = _text(context, name)
        found.append([value[i : i + size] for i in range(0, len(value), size)])
    return found


def _why_frames(frames, schema):
    counts = [len(each) for each in frames]
    if not any(counts):
        return "no frames"
    if not all(counts):
        return "missing feature"
    if len(set(counts)) > 1:
        return "feature lists of different lengths"
    for strings, size in zip(frames, schema.feature_sizes, strict=True):
        if any(len(string) != size for string in strings):
            return "wrong width"
    return None


def _join(frames, most):
    """Returns uint8 `[frames, features]`, no more than `most`."""
    rows = [b"".join(row) for row in zip(*frames, strict=True)]
    return np.array([list(row) for row in rows[:most]], np.uint8)


def _judge_video(message, schema, need_labels):
    frame_level = schema.frame_features
    context = (
        message.context.feature if frame_level else message.features.feature
    )
    video_id = _text(context, schema.id_key)
    labels = _values(context, schema.labels_key, "int64_list")
    held, contents = b"", {}
    if frame_level:
        held = _text(context, "frame_budget")
        frames = _frames(message, schema)
        reason = _why_frames(frames, schema)
    else:
        floats = [
            _values(context, name, "float_list")
            for name in schema.feature_names
        ]
        reason = _why_floats(floats, schema)
    if held not in (b"", b"every_n=1"):
        reason = "frames of another budget"
    if any(not 0 <= label < schema.num_classes for label in labels):
        reason = "label outside the classes"
    if need_labels and not labels:
        reason = "no labels"
    if not video_id:
        reason = "no id"
    if reason:
        return Verdict(reason)
    if frame_level:
        real = _join(frames, schema.max_frames)
        padded = np.zeros((schema.max_frames, schema.num_features), np.uint8)
        padded[: len(real)] = real
        contents = {"frames": padded, "num_frames": len(real)}
    else:
        contents = {"features": np.concatenate(floats).astype(np.float32)}
    hot = np.isin(np.arange(schema.num_classes), labels)
    return Verdict(None, [{"id": video_id, "labels": hot} | contents])


def _why_floats(floats, schema):
    if not all(floats):
        return "missing feature"
    if [len(values) for values in floats] != list(schema.feature_sizes):
        return "wrong width"
    if not all(math.isfinite(value) for values in floats for value in values):
        return "value not finite"
    return None


def _judge_segments(message, schema, need_labels):
    context = message.context.feature
    video_id = _text(context, schema.id_key)
    held = _text(context, "frame_budget")
    frames = _frames(message, schema)
    lists = []
    if need_labels:
        lists = [
            _values(context, "segment_start_times", "int64_list"),
            _values(context, "segment_end_times", "int64_list"),
            _values(context, "segment_labels", "int64_list"),
            _values(context, "segment_scores", "float_list"),
        ]
    reason = _why_frames(frames, schema)
    reason = "frames of another budget" if held else reason
    if not video_id:
        reason = "no id"
    if need_labels and not reason:
        reason = _why_ratings(lists, schema, len(frames[0]))
    if reason:
        return Verdict(reason)
    if need_labels:
        starts = list(dict.fromkeys(lists[0]))
    else:
        shortest = 1 if schema.segment_tails else 5
        starts = range(0, len(frames[0]) - shortest + 1, 5)
    return Verdict(
        None, [_cut(video_id, frames, start, lists, schema) for start in starts]
    )


def _why_ratings(lists, schema, num_frames):
    starts, ends, labels, scores = lists
    counts = {len(each) for each in lists}
    if counts == {0}:
        return "no rated segments"
    if len(counts) > 1:
        return "segment lists of different lengths"
    if any(not 0 <= label < schema.num_classes for label in labels):
        return "label outside the classes"
    if any(not 0 <= score <= 1 for score in scores):
        return "segment score outside 0 to 1"
    if any(end - start != 5 for start, end in zip(starts, ends, strict=True)):
        return "segment of another length"
    if any(not 0 <= start < num_frames for start in starts):
        return "segment outside the video"
    return None


def _cut(video_id, frames, start, lists, schema):
    real = _join([strings[start : start + 5] for strings in frames], 5)
    padded = np.zeros((5, schema.num_features), np.uint8)
    padded[: len(real)] = real
    labels, rated = np.zeros((2, schema.num_classes), bool)
    for other, _, label, score in zip(*lists, strict=True):
        if other == start:
            rated[label] = True
            labels[label] |= score > 0
    return {
        "id": video_id + b":%d" % start,
        "frames": padded,
        "num_frames": len(real),
        "labels": labels,
        "label_weights": rated,
    }

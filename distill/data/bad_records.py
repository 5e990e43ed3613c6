"""Finds bad records and says what is wrong with them.

Runs only after reading has failed, on the files and records concerned.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError, Message

from distill.data import records
from distill.data.kept_frames import BUDGET_KEY
from distill.data.packed_frames import frame_bytes
from distill.data.reasons import REASONS
from distill.data.record_forms import count_frames, packed_values
from distill.data.segments import check_segments, parse_segments
from distill.data.tfrecords import (
    count_readable,
    describe_corruption,
    open_records,
)
from distill.models.argument_checks import check_at_least
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.settings.schema import DataSchema
from distill.system.write_errors import operation_words

# TensorFlow's parser raises for a record that is no message; where the
# record's bytes are no text, TensorFlow fails to put them into its own message.
PARSER_ERRORS = (tf.errors.OpError, UnicodeDecodeError)

Context = Mapping[str, tf.train.Feature]


class BadRecordError(ValueError):
    """A record or a file that cannot be read as the schema says."""


@dataclasses.dataclass(frozen=True)
class Expected:
    """Properties of good records.

    Attributes:
      schema: Their layout.
      need_labels: Whether a record without labels, or rated segments, is bad.
      budget: The frames that are read of them.
      min_frames: The least number of frames of a video that is not left out.
    """

    schema: DataSchema
    need_labels: bool = True
    budget: FrameBudget = ALL_FRAMES
    min_frames: int = 1

    def __post_init__(self) -> None:
        """Checks that the frames of videos can be counted."""
        check_at_least(1, min_frames=self.min_frames)
        schema = self.schema
        if self.min_frames > 1 and (
            schema.segment_labels or not schema.frame_features
        ):
            raise ValueError(
                f"min_frames={self.min_frames} is for frame-level records of "
                "whole videos (frame_features, no segment_labels)."
            )


def message_kind(schema: DataSchema) -> type[Message]:
    """Returns the protocol buffer that a record of a layout is."""
    return (
        tf.train.SequenceExample if schema.frame_features else tf.train.Example
    )


def describe_record(serialized: bytes, expected: Expected) -> str | None:
    """Says what is wrong with one record; None for a good one."""
    kind = message_kind(expected.schema)
    try:
        message = kind.FromString(serialized)
    except DecodeError:
        return f"it is no tf.train.{kind.__name__}"
    return next(_find_problems(message, expected), None)


def _find_problems(message: Any, expected: Expected) -> Iterator[str]:
    """Yields the problems of a record; each may follow from those before."""
    schema, need_labels = expected.schema, expected.need_labels
    is_video = schema.frame_features
    context = (message.context if is_video else message.features).feature
    yield from _check_id(context, schema)
    if not schema.segment_labels:
        yield from _check_labels(context, schema, need_labels)
    if not is_video:
        yield from _check_features(context, schema)
        return
    yield from _check_held(context, expected)
    lists = message.feature_lists.feature_list
    packed = packed_values(message, schema)
    yield from _check_packed_values(context, schema, bool(packed or lists))
    if packed:
        yield from _check_packed(packed, schema)
    else:
        yield from _check_frames(lists, schema)
    if schema.segment_labels and need_labels:
        num_frames = count_frames(message, schema)
        yield from check_segments(context, num_frames, schema)


def describe_bad_record(
    serialized: bytes, expected: Expected, reason: int | None = None
) -> str:
    """Describes a bad record; `reason` is its reason code, if it was parsed."""
    problem = describe_record(serialized, expected)
    if problem:
        return problem
    seen = "unreadable" if reason is None else REASONS[reason]
    return (
        f"{seen} to TensorFlow's parser, which does not read every spelling of "
        "a message: it has repeated or unknown fields"
    )


def _check_id(context: Context, schema: DataSchema) -> Iterator[str]:
    if schema.id_key not in context:
        yield (
            f"no id under the key {schema.id_key!r} (--id_key); the record has "
            f"the keys {sorted(context)}"
        )
    ids = context[schema.id_key].bytes_list.value
    if len(ids) != 1 or not ids[0]:
        yield f"the id under {schema.id_key!r} is not one non-empty string"


def _check_labels(
    context: Context, schema: DataSchema, need_labels: bool
) -> Iterator[str]:
    key = schema.labels_key
    if key not in context:
        if need_labels:
            yield (
                f"no labels under the key {key!r} (--labels_key); the record "
                f"has the keys {sorted(context)}"
            )
        return
    kind = context[key].WhichOneof("kind")
    if kind not in ("int64_list", None):
        yield f"the labels under {key!r} are a {kind}, not an int64_list"
    labels = context[key].int64_list.value
    if need_labels and not labels:
        yield f"the list of labels under {key!r} is empty"
    for label in labels:
        if not 0 <= label < schema.num_classes:
            yield (
                f"label {label} is outside the {schema.num_classes} classes "
                f"(0 to {schema.num_classes - 1}, --num_classes)"
            )


def _check_held(context: Context, expected: Expected) -> Iterator[str]:
    schema, budget = expected.schema, expected.budget
    if BUDGET_KEY not in context:
        return
    values = context[BUDGET_KEY].bytes_list.value
    if len(values) != 1:
        yield f"its {BUDGET_KEY!r} is not one string"
    held = values[0].decode(errors="backslashreplace")
    if not held:
        return
    if schema.segment_labels:
        yield f"it holds the frames {held} alone; segments need all"
    if expected.min_frames > 1:
        yield (
            f"it holds the frames {held} alone, which do not tell the length "
            "of the video (--min_frames)"
        )
    if held != budget.name or not budget.is_fixed:
        wanted, why = budget.name, ""
        if budget.keeps_all:
            wanted = "all"
            why = "; teachers, --frame_dropout and --student_views read all"
        drawn = "" if budget.is_fixed else ", drawn from whole videos,"
        yield (
            f"it holds the frames {held} alone; wanted are {wanted}{drawn} "
            f"(--frame_selection, --frame_budget, --every_n{why})"
        )


def _check_packed_values(
    context: Context, schema: DataSchema, has_frames: bool
) -> Iterator[str]:
    for name in schema.feature_names:
        if name in (schema.id_key, schema.labels_key, BUDGET_KEY):
            continue
        if name not in context or len(context[name].bytes_list.value) == 1:
            continue
        # Numbers alone are a record of the video level.
        if has_frames or context[name].HasField("bytes_list"):
            yield (
                f"the context's value under {name!r}, where packed frames lie, "
                "is not one string"
            )


def _check_packed(
    packed: Mapping[str, bytes], schema: DataSchema
) -> Iterator[str]:
    counts = {}
    for name, size in zip(
        schema.feature_names, schema.feature_sizes, strict=True
    ):
        if name not in packed:
            yield (
                f"no packed feature {name!r} (--feature_names); packed are "
                f"{sorted(packed)}"
            )
        width, value = frame_bytes(schema, name), packed[name]
        counts[name], rest = divmod(len(value), width)
        if rest:
            yield (
                f"the packed feature {name!r} has {len(value)} bytes, no "
                f"multiple of the {width} of a frame (--feature_sizes)"
            )
        if schema.holds_floats(name):
            floats = np.frombuffer(value, "<f4").reshape(-1, size)
            for index, row in enumerate(floats.tolist()):
                place = f"frame {index} of feature {name!r}"
                yield from _check_values(row, place, size)
    if len(set(counts.values())) > 1:
        yield f"its features differ in their number of frames: {counts}"


def _check_frames(
    lists: Mapping[str, tf.train.FeatureList], schema: DataSchema
) -> Iterator[str]:
    counts = {}
    for name, size in zip(
        schema.feature_names, schema.feature_sizes, strict=True
    ):
        if name not in lists:
            level = "; a video-level record needs --frame_features=false"
            yield (
                f"no feature {name!r} (--feature_names); the record has the "
                f"feature lists {sorted(lists)}{'' if lists else level}"
            )
        counts[name] = len(lists[name].feature)
        check = _check_floats if schema.holds_floats(name) else _check_bytes
        for index, frame in enumerate(lists[name].feature):
            place = f"frame {index} of feature {name!r}"
            yield from check(frame, place, size)
    if len(set(counts.values())) > 1:
        yield f"its feature lists differ in their number of frames: {counts}"
    if not any(counts.values()):
        yield f"a video with no frames: {counts}"


def _check_bytes(
    frame: tf.train.Feature, place: str, size: int
) -> Iterator[str]:
    values = frame.bytes_list.value
    if len(values) != 1:
        hint = " (--float_frames reads floats)" * frame.HasField("float_list")
        yield f"{place} is not one string of {size} bytes{hint}"
    if len(values[0]) != size:
        yield (
            f"{place} has {len(values[0])} bytes instead of {size} "
            "(--feature_sizes)"
        )


def _check_floats(
    frame: tf.train.Feature, place: str, size: int
) -> Iterator[str]:
    values = frame.float_list.value
    if frame.HasField("bytes_list"):
        yield f"{place} is a string, not a list of floats (--float_frames)"
    yield from _check_values(values, place, size)


def _check_values(
    values: Sequence[float], place: str, size: int
) -> Iterator[str]:
    if len(values) != size:
        yield (
            f"{place} has {len(values)} floats instead of {size} "
            "(--feature_sizes)"
        )
    for value in values:
        if not math.isfinite(value):
            yield f"{place} holds the value {value}"


def _check_features(context: Context, schema: DataSchema) -> Iterator[str]:
    for name, size in zip(
        schema.feature_names, schema.feature_sizes, strict=True
    ):
        if name not in context:
            yield (
                f"no feature {name!r} (--feature_names); the record has the "
                f"keys {sorted(context)}"
            )
        values = context[name].float_list.value
        yield from _check_values(values, f"feature {name!r}", size)


def find_bad_record(
    files: list[str], expected: Expected, unreadable_alone: bool = False
) -> str | None:
    """Describes the first bad record of some files; None if all are good.

    With `unreadable_alone` only records count at which TensorFlow's parser
    raises. The words begin with the file and the record's number, from 0.
    """

    def is_described(record):
        problem = describe_record(record.numpy(), expected)
        return problem is not None and not (
            unreadable_alone and _parses(record, expected)
        )

    def is_unreadable(record):
        return not _parses(record, expected)

    # The parser is slow: only for what protocol buffers do not explain.
    for is_bad in (is_described, is_unreadable):
        for file in files:
            problem = _find_in_file(file, is_bad, expected)
            if problem:
                return problem
    return None


def _find_in_file(
    file: str, is_bad: Callable[[tf.Tensor], bool], expected: Expected
) -> str | None:
    """Describes a file's first bad record, or why it cannot be read before."""
    number = 0
    try:
        for record in open_records(file):
            if is_bad(record):
                problem = describe_bad_record(record.numpy(), expected)
                return f"{file}, record {number}: {problem}."
            number += 1
    except tf.errors.DataLossError:
        return describe_corruption(file, number)
    except tf.errors.OpError as error:
        return f"{file} cannot be read: {operation_words(error)}."
    if number == count_readable(file):
        return describe_corruption(file, number)
    return None


def _parses(serialized: tf.Tensor, expected: Expected) -> bool:
    """Returns whether TensorFlow's parser takes a record, good or bad."""
    schema = expected.schema
    parse = parse_segments if schema.segment_labels else records.parse_record
    try:
        parse(serialized, schema, expected.need_labels)
    except PARSER_ERRORS:
        return False
    return True


_ESCAPES = {ord(each): f"\\x{ord(each):02x}" for each in ',"\n\r\0'}


def name_video(video_id: bytes) -> str:
    r"""Returns an id as text that fits one field of a CSV line.

    Commas, quotes, line ends and bytes that are no text are escaped: `\x2c`.
    """
    return video_id.decode(errors="backslashreplace").translate(_ESCAPES)

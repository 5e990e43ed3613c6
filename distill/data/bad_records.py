"""Finds bad records and says what is wrong with them.

Runs only after reading has failed, on the files and records concerned.
"""

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf
from google.protobuf.message import DecodeError, Message

from distill.data import records
from distill.data.segments import describe_segments, parse_segments
from distill.data.tfrecords import (
    count_readable,
    describe_corruption,
    open_records,
)
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.settings.schema import DataSchema

# TensorFlow's parser raises for a record that is no message; where the
# record's bytes are no text, TensorFlow fails to put them into its own message.
PARSER_ERRORS = (tf.errors.OpError, UnicodeDecodeError)


class BadRecordError(ValueError):
    """A record or a file that cannot be read as the schema says."""


@dataclasses.dataclass(frozen=True)
class Expected:
    """Properties of good records.

    Attributes:
      schema: Their layout.
      need_labels: Whether a record without labels, or rated segments, is bad.
      budget: The frames that are read of them.
    """

    schema: DataSchema
    need_labels: bool = True
    budget: FrameBudget = ALL_FRAMES


def message_kind(schema: DataSchema) -> type[Message]:
    """Returns the protocol buffer that a record of a layout is."""
    return (
        tf.train.SequenceExample if schema.frame_features else tf.train.Example
    )


def describe_record(serialized: bytes, expected: Expected) -> str | None:
    """Says what is wrong with one record; None for a good one."""
    schema, need_labels = expected.schema, expected.need_labels
    kind = message_kind(schema)
    try:
        message = kind.FromString(serialized)
    except DecodeError:
        return f"it is no tf.train.{kind.__name__}"
    context = (
        message.context.feature
        if schema.frame_features
        else message.features.feature
    )
    context_problem = _describe_id(context, schema)
    if not schema.segment_labels:
        context_problem = context_problem or _describe_labels(
            context, schema, need_labels
        )
    if context_problem:
        return context_problem
    if not schema.frame_features:
        return _describe_features(context, schema)
    lists = message.feature_lists.feature_list
    problem = _describe_held(
        context, schema, expected.budget
    ) or _describe_frames(lists, schema)
    if schema.segment_labels and need_labels and not problem:
        num_frames = len(lists[schema.feature_names[0]].feature)
        return describe_segments(context, num_frames, schema)
    return problem


def describe_bad_record(
    serialized: bytes, expected: Expected, reason: int | None = None
) -> str:
    """Describes a bad record; `reason` is its reason code, if it was parsed."""
    problem = describe_record(serialized, expected)
    if problem:
        return problem
    seen = "unreadable" if reason is None else records.REASONS[reason]
    return (
        f"{seen} to TensorFlow's parser, which does not read every spelling of "
        "a message: it has repeated or unknown fields"
    )


def _describe_id(
    context: Mapping[str, tf.train.Feature], schema: DataSchema
) -> str | None:
    if schema.id_key not in context:
        return (
            f"no id under the key {schema.id_key!r} (--id_key); the record has "
            f"the keys {sorted(context)}"
        )
    ids = context[schema.id_key].bytes_list.value
    if len(ids) != 1 or not ids[0]:
        return f"the id under {schema.id_key!r} is not one non-empty string"
    return None


def _describe_labels(
    context: Mapping[str, tf.train.Feature],
    schema: DataSchema,
    need_labels: bool,
) -> str | None:
    if schema.labels_key not in context:
        if need_labels:
            return (
                f"no labels under the key {schema.labels_key!r} "
                f"(--labels_key); the record has the keys {sorted(context)}"
            )
        return None
    feature = context[schema.labels_key]
    if feature.WhichOneof("kind") not in ("int64_list", None):
        return (
            f"the labels under {schema.labels_key!r} are a "
            f"{feature.WhichOneof('kind')}, not an int64_list"
        )
    labels = feature.int64_list.value
    if need_labels and not labels:
        return f"the list of labels under {schema.labels_key!r} is empty"
    for label in labels:
        if not 0 <= label < schema.num_classes:
            return (
                f"label {label} is outside the {schema.num_classes} classes "
                f"(0 to {schema.num_classes - 1}, --num_classes)"
            )
    return None


def _describe_held(
    context: Mapping[str, tf.train.Feature],
    schema: DataSchema,
    budget: FrameBudget,
) -> str | None:
    if records.BUDGET_KEY not in context:
        return None
    values = context[records.BUDGET_KEY].bytes_list.value
    if len(values) != 1:
        return f"its {records.BUDGET_KEY!r} is not one string"
    held = values[0].decode(errors="backslashreplace")
    if not held:
        return None
    if schema.segment_labels:
        return f"it holds the frames {held} alone; segments need all"
    if held == budget.name and budget.is_fixed:
        return None
    wanted = "all" if budget.keeps_all else budget.name
    drawn = "" if budget.is_fixed else ", drawn from whole videos,"
    return (
        f"it holds the frames {held} alone; wanted are {wanted}{drawn} "
        "(--frame_selection, --frame_budget, --every_n)"
    )


def _describe_frames(
    lists: Mapping[str, tf.train.FeatureList], schema: DataSchema
) -> str | None:
    counts = {}
    for name, size in zip(
        schema.feature_names, schema.feature_sizes, strict=True
    ):
        if name not in lists:
            level = (
                "; a video-level record needs --frame_features=false"
                if not lists
                else ""
            )
            return (
                f"no feature {name!r} (--feature_names); the record has the "
                f"feature lists {sorted(lists)}{level}"
            )
        counts[name] = len(lists[name].feature)
        for index, frame in enumerate(lists[name].feature):
            values = frame.bytes_list.value
            if len(values) != 1:
                return (
                    f"frame {index} of feature {name!r} is not one string of "
                    f"{size} bytes"
                )
            if len(values[0]) != size:
                return (
                    f"frame {index} of feature {name!r} has "
                    f"{len(values[0])} bytes instead of {size} "
                    "(--feature_sizes)"
                )
    if len(set(counts.values())) > 1:
        return f"its feature lists differ in their number of frames: {counts}"
    if not any(counts.values()):
        return f"a video with no frames: {counts}"
    return None


def _describe_features(
    context: Mapping[str, tf.train.Feature], schema: DataSchema
) -> str | None:
    for name, size in zip(
        schema.feature_names, schema.feature_sizes, strict=True
    ):
        if name not in context:
            return (
                f"no feature {name!r} (--feature_names); the record has the "
                f"keys {sorted(context)}"
            )
        values = context[name].float_list.value
        if len(values) != size:
            return (
                f"feature {name!r} has {len(values)} floats instead of {size} "
                "(--feature_sizes)"
            )
        for value in values:
            if value - value != 0:
                return f"feature {name!r} holds the value {value}"
    return None


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
        found = _find_record(files, is_bad)
        if isinstance(found, str):
            return found
        if found is not None:
            file, number, record = found
            problem = describe_bad_record(record, expected)
            return f"{file}, record {number}: {problem}."
    return None


def _find_record(
    files: list[str], is_bad: Callable[[tf.Tensor], bool]
) -> tuple[str, int, bytes] | str | None:
    """Returns file, number and bytes of the first bad record, if any.

    A file that cannot be read before it gives a sentence about the file.
    """
    for file in files:
        number = 0
        try:
            for record in open_records(file):
                if is_bad(record):
                    return file, number, record.numpy()
                number += 1
        except tf.errors.DataLossError:
            return describe_corruption(file, number)
        except tf.errors.OpError as error:
            # The words behind the name of TensorFlow's operation.
            reason = error.message.rpartition("}} ")[2].partition(" [Op:")[0]
            return f"{file} cannot be read: {reason}."
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

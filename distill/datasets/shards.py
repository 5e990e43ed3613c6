"""Shards made of other files: what they may replace, and how they are written.

A JSON file beside the shards describes what they are made of. Each shard is
written whole or not at all, so an interrupted call is simply repeated.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from distill.data.bad_records import (
    BadRecordError,
    Expected,
    describe_record,
)
from distill.data.record_forms import (
    count_frames,
    pack_frames,
    packed_values,
    unpack_frames,
)
from distill.data.tfrecords import (
    FRAMING_BYTES,
    HEADER_BYTES,
    describe_corruption,
    open_records,
)
from distill.settings.schema import RECORD_FORMS, SEGMENT_FRAMES, DataSchema
from distill.system.atomic_files import replace_atomically
from distill.system.named_reads import read_text
from distill.system.storage import place_of


def check_replaced(
    paths: Iterable[Path],
    inputs: Iterable[str],
    is_known: Callable[[Path], bool],
    description: Path,
    instead: str,
) -> None:
    """Checks that existing files may be replaced.

    `is_known` says whether the file `description` tells what a file is made
    of; `instead` names the settings to change otherwise.

    Raises:
      ValueError: A file is an input, or of unknown origin.
    """
    read = set(map(place_of, inputs))
    for path in paths:
        if place_of(path) in read:
            reason = "it is one of the inputs"
        elif not is_known(path):
            reason = f"no {description.name} says what it is made of"
        else:
            continue
        raise ValueError(
            f"{path} would be replaced, but {reason}: give another {instead}."
        )


class WholeVideo(NamedTuple):
    """A record with every frame of its video, and its place in the file.

    Attributes:
      record_number: Its number, from 0.
      offset: Byte at which it begins, behind its header.
      record: Its bytes.
      message: The same, parsed, in the form `frames`.
      record_form: The form that it has in the file.
      num_frames: Its frames.
    """

    record_number: int
    offset: int
    record: bytes
    message: tf.train.SequenceExample
    record_form: str
    num_frames: int


def read_whole_videos(
    file: str, schema: DataSchema, need_labels: bool
) -> Iterator[WholeVideo]:
    """Yields every record of a frame-level file, once it has been checked.

    Raises:
      BadRecordError: The file or a record is bad, or a record holds the
        frames of a budget alone.
    """
    number = offset = 0
    expected = Expected(schema, need_labels)
    try:
        # TensorFlow's reader compares each record with its checksum.
        for record in open_records(file).as_numpy_iterator():
            problem = describe_record(record, expected)
            if problem:
                raise BadRecordError(f"{file}, record {number}: {problem}.")
            start = offset + HEADER_BYTES
            yield WholeVideo(number, start, record, *_read(record, schema))
            number += 1
            offset += len(record) + FRAMING_BYTES
    except tf.errors.DataLossError:
        pass
    except tf.errors.OpError as error:
        raise BadRecordError(
            f"{file} cannot be read: {error.message}."
        ) from error
    if offset != tf.io.gfile.stat(file).length:
        raise BadRecordError(describe_corruption(file, number))


def _read(
    record: bytes, schema: DataSchema
) -> tuple[tf.train.SequenceExample, str, int]:
    """Returns the last fields of a good record's `WholeVideo`."""
    message = tf.train.SequenceExample.FromString(record)
    frames, packed = RECORD_FORMS
    form = packed if packed_values(message, schema) else frames
    unpack_frames(message, schema)
    return message, form, count_frames(message, schema)


class Rating(NamedTuple):
    """What a person said of the segment from frame `start` on and a class.

    The score is 1.0 if the class is in the segment, else 0.0.
    """

    start: int
    label: int
    score: float


def to_sequence_example(
    video_id: str,
    labels: Iterable[int],
    features: Mapping[str, np.ndarray],
) -> tf.train.SequenceExample:
    """Returns a record of the YouTube-8M 2018 frame-level form.

    `labels` are class indexes, `features` uint8 or float32 `[frames, size]` by
    name.
    """
    example = tf.train.SequenceExample()
    context = example.context.feature
    context["id"].bytes_list.value.append(video_id.encode())
    context["labels"].int64_list.value.extend(int(label) for label in labels)
    for name, frames in features.items():
        feature_list = example.feature_lists.feature_list[name]
        for frame in frames:
            feature = feature_list.feature.add()
            if frame.dtype == np.uint8:
                feature.bytes_list.value.append(frame.tobytes())
            else:
                feature.float_list.value.extend(frame.tolist())
    return example


def add_ratings(
    example: tf.train.SequenceExample, ratings: Iterable[Rating]
) -> None:
    """Adds ratings of segments to a record, as YouTube-8M Segments has them."""
    context = example.context.feature
    for start, label, score in ratings:
        for key, number in (
            ("segment_start_times", start),
            ("segment_end_times", start + SEGMENT_FRAMES),
            ("segment_labels", label),
        ):
            context[key].int64_list.value.append(number)
        context["segment_scores"].float_list.value.append(score)


def serialize_record(
    example: tf.train.SequenceExample,
    record_form: str,
    feature_names: Iterable[str],
) -> bytes:
    """Returns the bytes of a record, which has lists of frames.

    Args:
      example: The record; with the form `packed` it is changed to that.
      record_form: One of `RECORD_FORMS`.
      feature_names: The lists that are packed.

    Raises:
      ValueError: The record cannot be packed.
    """
    if record_form == RECORD_FORMS[1]:
        pack_frames(example, feature_names)
    # Maps have no order of their own that lasts.
    return example.SerializeToString(deterministic=True)


def write_shard(path: Path, records: Iterable[bytes]) -> None:
    """Writes a TFRecord file, whole or not at all."""
    with (
        replace_atomically(path) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
    ):
        for record in records:
            writer.write(record)


def shard_name(prefix: str, index: int, num_shards: int) -> str:
    """Returns the name of one of the shards with a prefix."""
    return f"{prefix}-{index:05d}-of-{num_shards:05d}.tfrecord"


def find_shards(directory: Path, prefix: str) -> list[Path]:
    """Returns existing files with the name of any shard, sorted."""
    digits = 5 * "[0-9]"
    return sorted(directory.glob(f"{prefix}-{digits}-of-{digits}.tfrecord"))


def write_shards(
    directory: Path,
    prefix: str,
    num_shards: int,
    num_videos: int,
    make_records: Callable[[int, int], Iterable[bytes]],
    description: Path,
    described: dict[str, Any],
) -> Iterator[tuple[Path, bool]]:
    """Writes the shards that are missing; all, if the description differs.

    `make_records` returns the records of the videos from one index to before
    another. The file `description` holds `described`: JSON values from which
    all shards follow.

    Yields:
      Every shard's path and whether it was written now.
    """
    text = json.dumps(described, indent=2) + "\n"
    if not description.exists() or read_text(description) != text:
        for path in find_shards(directory, prefix):
            path.unlink()
        with replace_atomically(description) as temporary:
            temporary.write_text(text)
    bounds = np.linspace(0, num_videos, num_shards + 1).astype(int)
    for index, (first, last) in enumerate(itertools.pairwise(bounds)):
        path = directory / shard_name(prefix, index, num_shards)
        missing = not path.exists()
        if missing:
            write_shard(path, make_records(first, last))
        yield path, missing

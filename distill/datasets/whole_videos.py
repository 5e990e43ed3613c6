"""Records of whole videos, each checked before it is handed on."""

from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from distill.data.bad_files import describe_corruption
from distill.data.bad_records import (
    BadRecordError,
    describe_record,
)
from distill.data.record_lengths import open_records
from distill.data.skipped_records import FRAMING_BYTES
from distill.settings.schema import DataSchema


class WholeVideo(NamedTuple):
    """A record with every frame of its video.

    Attributes:
      record_number: Its number in the file, from 0.
      record: Its bytes.
      message: The same, parsed.
      num_frames: Its frames.
    """

    record_number: int
    record: bytes
    message: tf.train.SequenceExample
    num_frames: int


def read_whole_videos(
    file: str, schema: DataSchema, need_labels: bool
) -> Iterator[WholeVideo]:
    """Yields every record of a file.

    Args:
      file: The file's name.
      schema: The records' layout, of frame level.
      need_labels: Whether a record without labels is bad.

    Raises:
      BadRecordError: The file or a record is bad, or a record holds the
        frames of a budget alone.
    """
    number = offset = 0
    try:
        # TensorFlow's reader compares each record with its checksum.
        for record in open_records(file).as_numpy_iterator():
            problem = describe_record(record, schema, need_labels)
            if problem:
                raise BadRecordError(f"{file}, record {number}: {problem}.")
            message = tf.train.SequenceExample.FromString(record)
            lists = message.feature_lists.feature_list
            num_frames = len(lists[schema.feature_names[0]].feature)
            yield WholeVideo(number, record, message, num_frames)
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

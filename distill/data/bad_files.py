"""Where in a file a record is bad, or the file itself is damaged.

Runs only after something failed, on the files concerned.
"""

import tensorflow as tf

from distill.data import records
from distill.data.bad_records import describe_bad_record, describe_record
from distill.data.record_lengths import count_readable, open_records
from distill.data.segments import parse_segments
from distill.settings.schema import DataSchema

# A record that is no message makes the parser raise; where the record's bytes
# are no text, TensorFlow fails to put them into its own message.
PARSER_ERRORS = (tf.errors.OpError, UnicodeDecodeError)


def read_record(file: str, number: int) -> bytes:
    """Returns record `number` (from 0) of a TFRecord file."""
    dataset = tf.data.TFRecordDataset(file).skip(number).take(1)
    return next(iter(dataset)).numpy()


def find_bad_record(
    files: list[str],
    schema: DataSchema,
    need_labels: bool,
    unreadable_alone: bool = False,
) -> str | None:
    """Reads files from the start until a record fails.

    Args:
      files: The files' names.
      schema: The layout the records should have.
      need_labels: Whether a record without labels is bad.
      unreadable_alone: Whether to look only for records at which TensorFlow's
        parser raises.

    Returns:
      The file, the record's number (from 0) and what is wrong; None if all is
      well.
    """

    def is_described(record):
        problem = describe_record(record.numpy(), schema, need_labels)
        return problem is not None and not (
            unreadable_alone and parses(record, schema, need_labels)
        )

    def is_unreadable(record):
        return not parses(record, schema, need_labels)

    # The second takes its time, and is for what the first cannot explain.
    for is_bad in (is_described, is_unreadable):
        found = _find_record(files, is_bad)
        if isinstance(found, str):
            return found
        if found is not None:
            file, number, record = found
            problem = describe_bad_record(record, schema, need_labels)
            return f"{file}, record {number}: {problem}."
    return None


def _find_record(files, is_bad):
    """Returns file, number and bytes of the first bad record, if any.

    Or a sentence about a file that cannot be read so far.
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
            # Behind the name of TensorFlow's operation.
            reason = error.message.rpartition("}} ")[2].partition(" [Op:")[0]
            return f"{file} cannot be read: {reason}."
        if number == count_readable(file):
            return describe_corruption(file, number)
    return None


def parses(
    serialized: tf.Tensor, schema: DataSchema, need_labels: bool
) -> bool:
    """Returns whether TensorFlow's parser takes a record, good or bad."""
    parse = parse_segments if schema.segment_labels else records.parse_record
    try:
        parse(serialized, schema, need_labels)
    except PARSER_ERRORS:
        return False
    return True


def describe_corruption(file: str, number: int) -> str:
    """Says that a file is damaged from record `number` on."""
    return (
        f"{file}, record {number}: the file is truncated or corrupt there "
        f"(its checksum fails); {number} records before it are whole."
    )


def count_whole_records(file: str) -> int:
    """Returns how many records precede the damage in a file, or its end."""
    number = 0
    try:
        for _ in open_records(file):
            number += 1
    except tf.errors.DataLossError:
        pass
    return number

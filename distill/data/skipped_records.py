"""Counts of the records that a pass over the data leaves out."""

import numpy as np
import tensorflow as tf

from distill.data.bad_records import (
    Expected,
    describe_bad_record,
    find_bad_record,
)
from distill.data.reasons import GOOD, REASONS, TOO_SHORT
from distill.data.records import Parsed
from distill.data.tfrecords import (
    FRAMING_BYTES,
    count_whole_records,
    describe_corruption,
    read_record,
)


class SkippedRecords:
    """Counters inside the graph of the records of one pass.

    Attributes:
      seen: int64 `[files]`, records that went to the parser.
      parsed: int64 `[files]`, records that the parser returned.
      reasons: int64 `[reasons]`, records by reason code; index 0: good ones.
      first: int64 `[reasons, 2]`, file index and record number of an example
        of each reason; -1 without one.
      bytes_read: int64 `[files]`, framed bytes of the whole records read.
    """

    def __init__(self, num_files: int):
        num_reasons = len(REASONS)

        def counter(value):
            return tf.Variable(tf.constant(value, tf.int64), trainable=False)

        with tf.device("CPU"):
            self.seen = counter([0] * num_files)
            self.parsed = counter([0] * num_files)
            self.reasons = counter([0] * num_reasons)
            self.first = counter([[-1, -1]] * num_reasons)
            self.bytes_read = counter([0] * num_files)

    def count_bytes(self, raw: Parsed) -> Parsed:
        """Counts the framed bytes of one or several records; returns them."""
        return self.count_lengths(
            raw | {"length": tf.strings.length(raw["serialized"])}
        )

    def count_lengths(self, raw: Parsed) -> Parsed:
        """Counts records by their `length` in bytes, which it removes."""
        framed = raw.pop("length") + FRAMING_BYTES
        self.bytes_read.scatter_add(
            tf.IndexedSlices(tf.cast(framed, tf.int64), raw["file_index"])
        )
        return raw

    def count_seen(self, raw: Parsed) -> Parsed:
        """Counts one record that goes to the parser; returns it."""
        self.seen.scatter_add(_one(raw["file_index"]))
        return raw

    def count_reason(self, parsed: Parsed) -> Parsed:
        """Counts one parsed record by its reason; returns it."""
        self.parsed.scatter_add(_one(parsed["file_index"]))
        self.reasons.scatter_add(_one(parsed["reason"]))
        place = tf.stack([parsed["file_index"], parsed["record_number"]])
        self.first.scatter_update(tf.IndexedSlices(place, parsed["reason"]))
        return parsed

    def report(self, files: list[str], expected: Expected) -> list[str]:
        """Returns a line for every reason for which records were skipped."""
        lines = []
        reasons, first = self.reasons.numpy(), self.first.numpy()
        for code, name in enumerate(REASONS):
            if code in (GOOD, TOO_SHORT) or not reasons[code]:
                continue
            index, number = first[code]
            problem = describe_bad_record(
                read_record(files[index], number), expected, code
            )
            lines.append(
                f"skipped {reasons[code]} records, {name}; for example "
                f"{files[index]}, record {number}: {problem}"
            )
        unreadable = self.seen.numpy() - self.parsed.numpy()
        if unreadable.any():
            file = files[np.flatnonzero(unreadable)[0]]
            example = find_bad_record([file], expected, unreadable_alone=True)
            lines.append(
                f"skipped {unreadable.sum()} records, unreadable; for example "
                f"{example}"
            )
        return lines

    @property
    def num_short(self) -> int:
        """The number of good videos of too few frames."""
        return int(self.reasons.numpy()[TOO_SHORT])

    def report_damaged_files(
        self, files: list[str], indexes: np.ndarray
    ) -> list[str]:
        """Returns a line for every file, of some, whose end was not reached."""
        lines = []
        bytes_read = self.bytes_read.numpy()
        for index in sorted(indexes):
            file, read = files[index], bytes_read[index]
            try:
                missing = tf.io.gfile.stat(file).length - read
            except tf.errors.OpError as error:
                lines.append(f"{file} cannot be read: {error.message}.")
                continue
            if missing:
                problem = describe_corruption(file, count_whole_records(file))
                lines.append(f"{missing} bytes are lost: {problem}")
        return lines


def _one(index: tf.Tensor) -> tf.IndexedSlices:
    return tf.IndexedSlices(tf.constant(1, tf.int64), index)

"""Counts of the records that a pass over the data leaves out."""

import dataclasses

import numpy as np
import tensorflow as tf

from distill.data import records
from distill.data.bad_records import describe_bad_record, find_bad_record
from distill.data.tfrecords import (
    FRAMING_BYTES,
    count_whole_records,
    describe_corruption,
    read_record,
)
from distill.models.frame_budget import FrameBudget
from distill.settings.schema import DataSchema


@dataclasses.dataclass
class SkippedRecords:
    """Counts, inside the graph, of what a pass over the data left out.

    Attributes:
      seen: int64 `[files]`, records that reached the parser.
      parsed: int64 `[files]`, records that left it.
      reasons: int64 `[reasons]`, records by reason code; index 0: good ones.
      first: int64 `[reasons, 2]`, file index and record number of one record
        of each reason; -1 for none.
      bytes_read: int64 `[files]`, framed bytes of the whole records read.
    """

    seen: tf.Variable
    parsed: tf.Variable
    reasons: tf.Variable
    first: tf.Variable
    bytes_read: tf.Variable

    @classmethod
    def create(cls, num_files: int) -> "SkippedRecords":
        """Returns counts of nothing yet."""
        num_reasons = max(records.REASONS) + 1

        def counter(value):
            return tf.Variable(tf.constant(value, tf.int64), trainable=False)

        with tf.device("CPU"):
            return cls(
                counter([0] * num_files),
                counter([0] * num_files),
                counter([0] * num_reasons),
                counter([[-1, -1]] * num_reasons),
                counter([0] * num_files),
            )

    def count_bytes(self, file_index, serialized) -> None:
        """Counts records' bytes as they lie in their files (in the graph)."""
        framed = tf.strings.length(serialized) + FRAMING_BYTES
        self.bytes_read.scatter_add(
            tf.IndexedSlices(tf.cast(framed, tf.int64), file_index)
        )

    def count_seen(self, file_index) -> None:
        """Counts one record that goes to the parser (in the graph)."""
        self.seen.scatter_add(_one(file_index))

    def count_reason(self, reason, file_index, number) -> None:
        """Counts one parsed record by its reason (in the graph)."""
        self.parsed.scatter_add(_one(file_index))
        self.reasons.scatter_add(_one(reason))
        self.first.scatter_update(
            tf.IndexedSlices(tf.stack([file_index, number]), reason)
        )

    def report(
        self,
        files: list[str],
        schema: DataSchema,
        need_labels: bool,
        budget: FrameBudget,
    ) -> list[str]:
        """Returns a line for every reason for which something was skipped."""
        lines = []
        reasons = self.reasons.numpy()
        for code, name in records.REASONS.items():
            if not reasons[code]:
                continue
            index, number = self.first.numpy()[code]
            problem = describe_bad_record(
                read_record(files[index], number),
                schema,
                need_labels,
                budget,
                code,
            )
            lines.append(
                f"skipped {reasons[code]} records, {name}; for example "
                f"{files[index]}, record {number}: {problem}"
            )
        unreadable = self.seen.numpy() - self.parsed.numpy()
        if unreadable.any():
            file = files[np.flatnonzero(unreadable)[0]]
            problem = find_bad_record(
                [file], schema, need_labels, unreadable_alone=True
            )
            lines.append(
                f"skipped {unreadable.sum()} records, unreadable; for example "
                f"{problem}"
            )
        return lines

    def report_damaged_files(
        self, files: list[str], indexes: np.ndarray
    ) -> list[str]:
        """Returns a line for every file whose end was not reached.

        Args:
          files: All files.
          indexes: Those over which a whole pass was made.
        """
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


def _one(index):
    """Returns the sparse update that adds 1 at an index."""
    return tf.IndexedSlices(tf.constant(1, tf.int64), index)

"""All whole records of a TFRecord file, those behind a damaged one too."""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from distill.data.bad_files import describe_corruption
from distill.data.skipped_records import FRAMING_BYTES
from distill.datasets.check.checksums import (
    FOOTER_BYTES,
    HEADER_BYTES,
    is_whole,
    read_length,
)

_RECORDS_AT_ONCE = 32


@dataclasses.dataclass
class WholeRecords:
    """Reads a file; the figures are complete once it is read to its end.

    A record whose contents alone are damaged is passed over; where a length
    is damaged, or the file ends amid a record, the rest of the file is lost.

    Attributes:
      file: Its name.
      num_bytes: Its size.
      num_whole: Whole records read so far.
      num_before: Whole records before the first damage; None: none is damaged.
      damaged: Numbers of the records whose contents are damaged.
      lost_bytes: Bytes of the damaged records and of what is lost.
      problem: Why the file cannot be read at all; None if it can.
    """

    file: str
    num_bytes: int = 0
    num_whole: int = 0
    num_before: int | None = None
    damaged: list[int] = dataclasses.field(default_factory=list)
    lost_bytes: int = 0
    problem: str | None = None

    def read(self) -> Iterator[list[tuple[int, bytes]]]:
        """Yields the numbers in the file, from 0, and the bytes of records.

        They come in lists of some tens, whose bytes are all that is held.
        """
        try:
            self.num_bytes = tf.io.gfile.stat(self.file).length
            yield from self._read()
        except tf.errors.OpError as error:
            self.problem = f"{self.file} cannot be read: {error.message}."

    def _read(self):
        offset = 0
        try:
            # TensorFlow's reader compares each record with its checksums.
            dataset = tf.data.TFRecordDataset(self.file).batch(_RECORDS_AT_ONCE)
            for records in dataset.as_numpy_iterator():
                yield list(enumerate(records, start=self.num_whole))
                self.num_whole += len(records)
                offset += sum(map(len, records))
                offset += FRAMING_BYTES * len(records)
        except tf.errors.DataLossError:
            pass
        if offset != self.num_bytes:
            # From the first record of the batch that was not handed on.
            for record in self._read_behind(self.num_whole, offset):
                yield [record]
                self.num_whole += 1

    def _read_behind(self, number, offset):
        """Yields the whole records from an offset on, by their lengths."""
        with tf.io.gfile.GFile(self.file, "rb") as file:
            while offset < self.num_bytes:
                file.seek(offset)
                length = read_length(file.read(HEADER_BYTES))
                end = offset + FRAMING_BYTES + (length or 0)
                if length is None or end > self.num_bytes:
                    break
                record = file.read(length)
                if is_whole(record, file.read(FOOTER_BYTES)):
                    yield number, record
                else:
                    self.damaged.append(number)
                    self.lost_bytes += end - offset
                number += 1
                offset = end
        self.lost_bytes += self.num_bytes - offset
        self.num_before = min([number, *self.damaged])

    def describe_damage(self) -> str | None:
        """Says what is damaged and what is whole; None for a whole file."""
        if self.problem is not None:
            return self.problem
        if self.num_before is None:
            return None
        behind = self.num_whole - self.num_before
        return (
            f"{describe_corruption(self.file, self.num_before)} Of the file "
            f"{self.lost_bytes:,} bytes are damaged or lost; {behind} records "
            "behind the damage are whole, which training does not reach."
        )

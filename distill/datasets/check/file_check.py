"""Every record of one file checked, also those behind a damaged one."""

import collections
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError, Message

from distill.data import records
from distill.data.bad_records import (
    PARSER_ERRORS,
    Expected,
    describe_record,
    message_kind,
)
from distill.data.reasons import GOOD, REASONS, TOO_SHORT
from distill.data.record_forms import count_frames
from distill.data.segments import parse_segments
from distill.data.tfrecords import (
    FOOTER_BYTES,
    FRAMING_BYTES,
    HEADER_BYTES,
    describe_corruption,
    is_whole,
    read_length,
)
from distill.datasets.check.label_pairs import LabelPairs
from distill.datasets.check.video_ids import MOST_EXAMPLES

# Reasons beside those that a record's parsed contents give.
UNREADABLE = "unreadable"
DAMAGED = "checksum fails"
_RECORDS_AT_ONCE = 32

Numbered = list[tuple[int, bytes]]


class FileFindings:
    """Contents of one file; at first of an empty one.

    Attributes:
      label_counts: int64 `[classes]`, the good videos (or segments) of each;
        without short ones.
      label_pairs: Classes that good videos have together; none of segments.
      num_short: Good videos of fewer frames than `Expected.min_frames`.
      num_bytes: Its size.
      num_records: Its whole records, good and bad.
      num_good: The good records.
      num_segments: Segments of the good records.
      bad: Bad records by reason, including those with a wrong checksum.
      examples: By reason, the numbers of the first bad records and what is
        wrong with each.
      damage: Describes the damage; None for a whole file.
      lost_bytes: Bytes that are damaged or cannot be reached.
      frame_counts: At frame level, good videos by their number of frames.
      labels_by_length: At frame level, labels of good videos by that number.
      ids: Record number and id of every good video.
    """

    def __init__(self, num_classes: int) -> None:
        self.label_counts = np.zeros(num_classes, np.int64)
        self.label_pairs = LabelPairs(num_classes)
        self.num_bytes = self.num_records = self.num_good = 0
        self.num_segments = self.lost_bytes = self.num_short = 0
        self.bad: collections.Counter[str] = collections.Counter()
        self.examples: dict[str, list[tuple[int, str]]] = {}
        self.damage: str | None = None
        self.frame_counts: collections.Counter[int] = collections.Counter()
        self.labels_by_length: collections.Counter[int] = collections.Counter()
        self.ids: Numbered = []

    def add_bad(
        self, reason: str, number: int, describe: Callable[[], str]
    ) -> None:
        """Counts a bad record; describes the first few of each reason."""
        if self.bad[reason] < MOST_EXAMPLES:
            self.examples.setdefault(reason, []).append((number, describe()))
        self.bad[reason] += 1

    def to_json(self) -> dict[str, Any]:
        """Returns the findings as JSON values."""
        return vars(self) | {
            "label_counts": self.label_counts.tolist(),
            "label_pairs": self.label_pairs.to_json(),
            "frame_counts": sorted(self.frame_counts.items()),
            "labels_by_length": sorted(self.labels_by_length.items()),
            # Every byte is a letter of Latin-1.
            "ids": [(n, name.decode("latin-1")) for n, name in self.ids],
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "FileFindings":
        """Returns the findings of `to_json`."""
        counts = np.array(fields["label_counts"], np.int64)
        found = cls(len(counts))
        pairs = found.label_pairs
        pairs.add_json(fields["label_pairs"])
        vars(found).update(fields)
        found.label_counts, found.label_pairs = counts, pairs
        found.bad = collections.Counter(fields["bad"])
        for name in ("frame_counts", "labels_by_length"):
            setattr(found, name, collections.Counter(dict(fields[name])))
        found.examples = {
            reason: [(number, text) for number, text in examples]
            for reason, examples in fields["examples"].items()
        }
        found.ids = [(n, name.encode("latin-1")) for n, name in fields["ids"]]
        return found


class FileChecker:
    """Checks files of one layout, one after the other."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._schema = expected.schema
        self._kind = message_kind(expected.schema)
        self._parse = tf.function(
            self._parse_segments
            if self._schema.segment_labels
            else self._parse_records,
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )

    def _parse_records(self, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
        expected = self._expected
        parsed = records.parse_records(
            serialized,
            self._schema,
            expected.need_labels,
            expected.budget,
            min_frames=expected.min_frames,
        )
        labels = tf.cast(parsed["labels"], tf.int64)
        no_segments = tf.zeros_like(labels[:, 0])
        return parsed["reason"], parsed["id"], labels, no_segments

    def _parse_segments(self, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parsed = parse_segments(
            serialized[0], self._schema, self._expected.need_labels
        )
        labels = tf.reduce_sum(tf.cast(parsed["labels"], tf.int64), axis=0)
        first = tf.concat([parsed["id"], [""]], axis=0)[:1]
        # The ids are VIDEO:START.
        video_id = tf.strings.regex_replace(first, ":[0-9]*$", "")
        num_segments = tf.shape(parsed["labels"], tf.int64)[:1]
        return parsed["reason"][None], video_id, labels[None], num_segments

    def check(self, file: str) -> FileFindings:
        """Reads a file to its end."""
        found = FileFindings(self._schema.num_classes)
        at_once = 1 if self._schema.segment_labels else _RECORDS_AT_ONCE
        for batch in read_whole_records(file, found):
            for start in range(0, len(batch), at_once):
                self._check_batch(batch[start : start + at_once], found)
        found.label_pairs.compact()
        return found

    def _check_batch(self, batch: Numbered, found: FileFindings) -> None:
        """Adds a batch; record by record if one of them cannot be parsed."""
        serialized = [record for _, record in batch]
        try:
            parsed = self._parse(tf.constant(serialized, tf.string))
        except PARSER_ERRORS:
            if len(batch) == 1:
                self._add_bad_record(found, UNREADABLE, *batch[0])
            else:
                for each in batch:
                    self._check_batch([each], found)
            return
        reasons, ids, labels, segments = (each.numpy() for each in parsed)
        good = []
        for index, (number, record) in enumerate(batch):
            message = self._read_strictly(record)
            is_bad = reasons[index] not in (GOOD, TOO_SHORT)
            if is_bad or message is None:
                reason = REASONS[reasons[index]] if is_bad else ""
                self._add_bad_record(
                    found, reason or UNREADABLE, number, record
                )
                continue
            good.append(index)
            video_id = ids[index]
            if self._schema.frame_features:
                # Before any cut.
                length = count_frames(message, self._schema)
                found.frame_counts[length] += 1
                found.labels_by_length[length] += int(labels[index].sum())
                ids_held = message.context.feature[self._schema.id_key]
                video_id = video_id or ids_held.bytes_list.value[0]
            found.ids.append((number, video_id))
        kept = [i for i in good if reasons[i] == GOOD]
        found.label_counts += labels[kept].sum(axis=0)
        if not self._schema.segment_labels:
            found.label_pairs.add_videos(labels[kept])
        found.num_good += len(good)
        found.num_short += len(good) - len(kept)
        found.num_segments += int(segments[good].sum())

    def _add_bad_record(
        self, found: FileFindings, reason: str, number: int, serialized: bytes
    ) -> None:
        found.add_bad(
            reason,
            number,
            lambda: describe_record(serialized, self._expected) or reason,
        )

    def _read_strictly(self, serialized: bytes) -> Message | None:
        """Returns a record's message; None if protocol buffers refuse it.

        TensorFlow's parser overlooks false lengths in fields it does not need.
        """
        try:
            return self._kind.FromString(serialized)
        except DecodeError:
            return None


def read_whole_records(file: str, found: FileFindings) -> Iterator[Numbered]:
    """Yields short lists of a file's whole records: numbers, from 0, and bytes.

    No more than one list is held in memory. A record whose contents alone are
    damaged is passed over. Where a length is damaged, or the file ends amid a
    record, the rest of the file is lost. The findings get the file's size, its
    number of whole records and its damage, and are complete at the end.
    """
    try:
        found.num_bytes = tf.io.gfile.stat(file).length
        yield from _read(file, found)
    except tf.errors.OpError as error:
        found.damage = f"{file} cannot be read: {error.message}."


def _read(file: str, found: FileFindings) -> Iterator[Numbered]:
    offset = 0
    with contextlib.suppress(tf.errors.DataLossError):
        # TensorFlow's reader compares each record with its checksums.
        dataset = tf.data.TFRecordDataset(file).batch(_RECORDS_AT_ONCE)
        for batch in dataset.as_numpy_iterator():
            yield list(enumerate(batch, start=found.num_records))
            found.num_records += len(batch)
            offset += sum(map(len, batch)) + FRAMING_BYTES * len(batch)
    if offset != found.num_bytes:
        # On from the first record of the batch that failed.
        yield from _read_behind(file, found, offset)


def _read_behind(
    file: str, found: FileFindings, offset: int
) -> Iterator[Numbered]:
    """Yields the whole records from an offset on, by their lengths."""
    number = found.num_records
    damaged = []
    with tf.io.gfile.GFile(file, "rb") as opened:
        while offset < found.num_bytes:
            opened.seek(offset)
            length = read_length(opened.read(HEADER_BYTES))
            end = offset + FRAMING_BYTES + (length or 0)
            if length is None or end > found.num_bytes:
                break
            record = opened.read(length)
            if is_whole(record, opened.read(FOOTER_BYTES)):
                yield [(number, record)]
                found.num_records += 1
            else:
                damaged.append(number)
                found.lost_bytes += end - offset
                found.add_bad(
                    DAMAGED, number, lambda: "the checksum of its bytes fails"
                )
            number += 1
            offset = end
    found.lost_bytes += found.num_bytes - offset
    num_before = min([number, *damaged])
    found.damage = (
        f"{describe_corruption(file, num_before)} Of the file "
        f"{found.lost_bytes:,} bytes are damaged or lost; "
        f"{found.num_records - num_before} records behind the damage are "
        "whole, which training does not reach."
    )

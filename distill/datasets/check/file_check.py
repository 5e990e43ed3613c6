"""One file's records, each checked: what is good, what is bad and why."""

import collections
import dataclasses

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError, Message

from distill.data import records
from distill.data.bad_files import PARSER_ERRORS
from distill.data.bad_records import describe_record, message_kind
from distill.data.segments import parse_segments
from distill.datasets.check.video_ids import FileIds
from distill.datasets.check.whole_records import WholeRecords
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.settings.schema import DataSchema

# Beside the reasons that a record's parsed contents give.
UNREADABLE = "unreadable"
DAMAGED = "checksum fails"
MOST_EXAMPLES = 5


@dataclasses.dataclass(frozen=True)
class Expected:
    """What good records are.

    Attributes:
      schema: Their layout.
      need_labels: Whether a record without labels, or rated segments, is bad.
      budget: The frames that are read of them.
    """

    schema: DataSchema
    need_labels: bool = True
    budget: FrameBudget = ALL_FRAMES


@dataclasses.dataclass
class FileFindings:
    """What a file holds.

    Attributes:
      num_bytes: Its size.
      num_records: Its whole records, good and bad.
      num_good: The good ones among them.
      num_segments: Of segments, those of the good records.
      bad: Bad records by reason, the damaged ones among them.
      examples: Of each reason the first records' numbers and what is wrong.
      damage: What is damaged; None for a whole file.
      lost_bytes: Bytes that are damaged or cannot be reached.
      label_counts: int64 `[classes]`, the good videos (or segments) of each.
      frame_counts: At frame level, good videos by their number of frames.
      ids: The good videos' ids.
    """

    num_bytes: int
    num_records: int
    num_good: int
    num_segments: int
    bad: collections.Counter[str]
    examples: dict[str, list[tuple[int, str]]]
    damage: str | None
    lost_bytes: int
    label_counts: np.ndarray
    frame_counts: collections.Counter[int]
    ids: FileIds


class FileChecker:
    """Checks files of one layout, one after the other.

    Args:
      expected: What good records are.
    """

    def __init__(self, expected: Expected):
        self._expected = expected
        self._schema = expected.schema
        self._kind = message_kind(expected.schema)
        self._parse = tf.function(
            self._parse_segments
            if self._schema.segment_labels
            else self._parse_records,
            input_signature=[tf.TensorSpec([None], tf.string)],
        )

    def _parse_records(self, serialized):
        expected = self._expected
        parsed = records.parse_records(
            serialized, self._schema, expected.need_labels, expected.budget
        )
        labels = tf.cast(parsed["labels"], tf.int64)
        no_segments = tf.zeros_like(labels[:, 0])
        return parsed["reason"], parsed["id"], labels, no_segments

    def _parse_segments(self, serialized):
        """Parses a batch of one record."""
        parsed = parse_segments(
            serialized[0], self._schema, self._expected.need_labels
        )
        labels = tf.reduce_sum(tf.cast(parsed["labels"], tf.int64), axis=0)
        first = tf.concat([parsed["id"], [""]], axis=0)[:1]
        # Of VIDEO:START the video.
        video_id = tf.strings.regex_replace(first, ":[0-9]*$", "")
        num_segments = tf.shape(parsed["labels"], tf.int64)[:1]
        return parsed["reason"][None], video_id, labels[None], num_segments

    def check(self, file: str) -> FileFindings:
        """Reads a file to its end."""
        whole = WholeRecords(file)
        found = FileFindings(
            num_bytes=0,
            num_records=0,
            num_good=0,
            num_segments=0,
            bad=collections.Counter(),
            examples={},
            damage=None,
            lost_bytes=0,
            label_counts=np.zeros(self._schema.num_classes, np.int64),
            frame_counts=collections.Counter(),
            ids=FileIds(),
        )
        for batch in whole.read():
            for part in self._parts(batch):
                self._check_batch(part, found)
        for number in whole.damaged:
            _add_bad(found, DAMAGED, number, "the checksum of its bytes fails")
        found.num_bytes, found.num_records = whole.num_bytes, whole.num_whole
        found.damage = whole.describe_damage()
        found.lost_bytes = whole.lost_bytes
        return found

    def _parts(self, batch):
        """Returns what is parsed at once: of segments a record."""
        if self._schema.segment_labels:
            return [[record] for record in batch]
        return [batch]

    def _check_batch(self, batch, found):
        """Adds a batch, record by record if one of them cannot be parsed."""
        serialized = [record for _, record in batch]
        try:
            parsed = self._parse(tf.constant(serialized, tf.string))
        except PARSER_ERRORS:
            if len(batch) > 1:
                for each in batch:
                    self._check_batch([each], found)
                return
            self._add_bad_record(found, UNREADABLE, *batch[0])
            return
        reasons, ids, labels, segments = (part.numpy() for part in parsed)
        good = []
        for index, (number, record) in enumerate(batch):
            message = self._read_strictly(record)
            reason = records.REASONS.get(int(reasons[index]))
            if reason is None and message is None:
                reason = UNREADABLE
            if reason is not None:
                self._add_bad_record(found, reason, number, record)
                continue
            good.append(index)
            found.frame_counts.update(self._count_frames(message))
            found.ids.add(number, ids[index] or self._read_id(message))
        found.label_counts += labels[good].sum(axis=0)
        found.num_good += len(good)
        found.num_segments += int(segments[good].sum())

    def _add_bad_record(self, found, reason, number, serialized):
        problem = None
        if found.bad[reason] < MOST_EXAMPLES:
            problem = describe_record(
                serialized,
                self._schema,
                self._expected.need_labels,
                self._expected.budget,
            )
        _add_bad(found, reason, number, problem or reason)

    def _read_strictly(self, serialized) -> Message | None:
        """Returns a record's message; None for none, whatever is read of it.

        TensorFlow's parser overlooks a false length of what it does not need.
        """
        try:
            return self._kind.FromString(serialized)
        except DecodeError:
            return None

    def _count_frames(self, message) -> list[int]:
        """Returns a good video's frames, of which there may be too many."""
        if not self._schema.frame_features:
            return []
        lists = message.feature_lists.feature_list
        return [len(lists[self._schema.feature_names[0]].feature)]

    def _read_id(self, message) -> bytes:
        """Returns the id of a good video without a segment."""
        return message.context.feature[self._schema.id_key].bytes_list.value[0]


def _add_bad(found, reason, number, problem):
    if found.bad[reason] < MOST_EXAMPLES:
        found.examples.setdefault(reason, []).append((number, problem))
    found.bad[reason] += 1

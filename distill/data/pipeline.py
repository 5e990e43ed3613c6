"""From files to batches: reading, order, checking and batching.

The order of training depends on the run's seed and the epoch alone, and every
batch says how many records of the epoch lie behind it, so that a run can go on
in the middle of an epoch without parsing what it has seen. Where the examples
are segments these are counted, and what has been seen is parsed again.
"""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from distill.data.bad_records import (
    PARSER_ERRORS,
    BadRecordError,
    describe_record,
    find_bad_record,
    read_record,
)
from distill.data.estimation import estimate_num_records, estimate_num_segments
from distill.data.files import check_files, describe_files
from distill.data.frame_draws import (
    EVALUATION_KEY,
    draw_for_videos,
    epoch_key,
)
from distill.data.raw_records import keep_share, read_raw_records
from distill.data.records import GOOD, parse_record, parse_records
from distill.data.schema import DataSchema
from distill.data.segments import parse_segments
from distill.data.skipped_records import SkippedRecords
from models.argument_checks import check_at_least, check_choice
from models.frame_budget import ALL_FRAMES, FrameBudget

ON_BAD_RECORD = ("fail", "skip")
_MAX_SEED = 2**31


@dataclasses.dataclass(frozen=True)
class VideoReader:
    """Reads the videos of a list of files, or segments of them, in batches.

    Attributes:
      schema: The records' layout. With `segment_labels` an example is not a
        record's video but one of its segments.
      files: The files' names.
      batch_size: Examples a batch; the last one of a pass may hold fewer.
      need_labels: Whether a record without labels is bad; of segments, whether
        the rated ones are read, or every one of five frames.
      budget: Only its frames of a video are decoded.
      share: Share of every file's records that is read, spread evenly.
      num_draws: Random numbers that every batch brings along for selections
        inside the graph.
      on_bad_record: `fail` raises at the first bad record, `skip` leaves bad
        records out and reports them after the pass.
    """

    schema: DataSchema
    files: list[str]
    batch_size: int
    need_labels: bool = True
    on_bad_record: str = "fail"
    budget: FrameBudget = ALL_FRAMES
    num_draws: int = 0
    share: float = 1.0

    def __post_init__(self):
        """Checks the fields."""
        check_choice("on_bad_record", self.on_bad_record, ON_BAD_RECORD)
        check_at_least(1, batch_size=self.batch_size)

    def read_once(self) -> Iterator[dict[str, tf.Tensor]]:
        """Yields every example once, in an order that the files fix.

        Yields:
          Dict of `id` string `[batch]`, `labels` bool `[batch, classes]` and
          `frames` uint8 `[batch, selected frames, features]` with `num_frames`
          int32 `[batch]`, or `features` float32 `[batch, features]`;
          `position` int64 `[batch]`: records of the pass up to and with it;
          of segments, whose `id` is `VIDEO:START`, the good segments up to and
          with it, and `label_weights` bool `[batch, classes]`, those rated;
          `draws` float32 `[batch, num_draws]` in [0, 1), if there are any.

        Raises:
          BadRecordError: A record or file is bad, or there is no record.
        """
        files = tf.data.Dataset.range(len(self.files))
        yield from self._read(files, lambda records: records, EVALUATION_KEY)

    def read_shuffled(
        self, seed: int, epoch: int, buffer_size: int, position: int = 0
    ) -> Iterator[dict[str, tf.Tensor]]:
        """Yields one epoch in an order drawn from the seed and the epoch.

        Args:
          seed: The run's seed.
          epoch: Number of the epoch, from 0.
          buffer_size: Records, or segments, among which the next one is drawn.
          position: As many of the epoch are left out at its start.

        Yields:
          Batches as `read_once` does.

        Raises:
          BadRecordError: As `read_once`.
        """
        random = np.random.default_rng([seed, epoch])
        files = tf.data.Dataset.from_tensor_slices(
            random.permutation(len(self.files)).astype(np.int64)
        )
        shuffle_seed = int(random.integers(_MAX_SEED))

        def shuffle(examples):
            return examples.shuffle(
                buffer_size, seed=shuffle_seed, reshuffle_each_iteration=False
            )

        yield from self._read(files, shuffle, epoch_key(seed, epoch), position)

    def estimate_num_records(self) -> int:
        """Estimates the number of records by the mean size of the first."""
        return round(self.share * estimate_num_records(self.files))

    def estimate_num_examples(self) -> int:
        """Estimates the number of records or, if so read, of segments."""
        if not self.schema.segment_labels:
            return self.estimate_num_records()
        segments = estimate_num_segments(
            self.files, self.schema, self.need_labels
        )
        return round(self.share * segments)

    def _read(self, file_indexes, order, draw_key, position=0):
        check_files(self.files)
        skipped = SkippedRecords.create(len(self.files))
        records = read_raw_records(
            self.files, file_indexes, self.on_bad_record == "skip"
        )
        one_by_one = self.schema.segment_labels or self.on_bad_record == "skip"
        count_bytes = functools.partial(_count_bytes, skipped)
        count_each = one_by_one or position or self.share < 1
        if count_each:
            # What is left out behind this was read as well.
            records = records.map(count_bytes)
        if self.share < 1:
            records = keep_share(records, self.share)
        if self.schema.segment_labels:
            # A batch may end amid a record's segments: these are counted.
            segments = self._parse_one_by_one(
                records, skipped, draw_key
            ).unbatch()
            dataset = _number(order(segments), position).map(_flatten)
            dataset = dataset.batch(self.batch_size)
        elif one_by_one:
            numbered = _number(order(records), position).map(_flatten)
            dataset = self._parse_one_by_one(numbered, skipped, draw_key)
            dataset = dataset.batch(self.batch_size)
        else:
            numbered = _number(order(records), position)
            dataset = numbered.batch(self.batch_size).map(_flatten)
            if not count_each:
                dataset = dataset.map(count_bytes)
            dataset = self._parse(dataset, draw_key)
        dataset = dataset.prefetch(2).with_options(_data_options())
        num_batches = 0
        for batch in self._raise_clearly(dataset):
            self._check_records(batch)
            num_batches += 1
            yield batch
        self._finish(skipped)
        if num_batches == 0 and position == 0:
            example = "segment" if self.schema.segment_labels else "record"
            raise BadRecordError(
                f"No {'good ' * (self.on_bad_record == 'skip')}{example} in "
                f"{describe_files(self.files)}."
            )

    def _finish(self, skipped):
        """Reports what a whole pass left out, or raises for damaged files."""
        damaged = skipped.report_damaged_files(self.files)
        if self.on_bad_record == "fail" and damaged:
            raise BadRecordError(damaged[0])
        lines = skipped.report(
            self.files, self.schema, self.need_labels, self.budget
        )
        for line in lines + damaged:
            print(f"WARNING: {line}", flush=True)

    def _parse(self, dataset, draw_key, parser=parse_records):
        """Parses batches of records, or by another parser single ones."""

        def parse(record):
            serialized = record.pop("serialized")
            parsed = parser(
                serialized,
                self.schema,
                self.need_labels,
                self.budget,
                draw_key,
            )
            if self.num_draws:
                parsed["draws"] = draw_for_videos(
                    parsed["id"], self.num_draws, draw_key
                )
            return parsed | record

        return dataset.map(
            parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def _parse_one_by_one(self, dataset, skipped, draw_key):
        """Parses records each on its own, so that one may be left out.

        What is left out is counted in order, before and after the parser.
        """
        segments = self.schema.segment_labels
        parser = parse_segments if segments else parse_record

        def count_seen(record):
            skipped.count_seen(record["file_index"])
            return record

        def count_reason(parsed):
            skipped.count_reason(
                parsed["reason"], parsed["file_index"], parsed["record_number"]
            )
            return parsed

        def repeat_for_segments(parsed):
            count = tf.size(parsed["id"])
            for name in ("reason", "file_index", "record_number"):
                parsed[name] = tf.repeat(parsed[name], count)
            return parsed

        skip = self.on_bad_record == "skip"
        if skip:
            dataset = dataset.map(count_seen)
        dataset = self._parse(dataset, draw_key, parser)
        if skip:
            dataset = dataset.ignore_errors().map(count_reason)
            dataset = dataset.filter(lambda parsed: parsed["reason"] == GOOD)
        return dataset.map(repeat_for_segments) if segments else dataset

    def _raise_clearly(self, dataset):
        """Yields from the dataset; its errors come out as BadRecordError."""
        try:
            yield from dataset
        except PARSER_ERRORS as error:
            problem = find_bad_record(self.files, self.schema, self.need_labels)
            raise BadRecordError(problem or str(error)) from error

    def _check_records(self, batch):
        """Raises for the first bad record of a batch."""
        bad = np.flatnonzero(batch.pop("reason").numpy() != GOOD)
        file_indexes = batch.pop("file_index")
        numbers = batch.pop("record_number")
        if bad.size:
            file = self.files[int(file_indexes[bad[0]])]
            number = int(numbers[bad[0]])
            problem = describe_record(
                read_record(file, number),
                self.schema,
                self.need_labels,
                self.budget,
            )
            raise BadRecordError(
                f"{file}, record {number}: {problem}. "
                "(--on_bad_record=skip leaves such records out.)"
            )


def _number(dataset, position):
    """Numbers the examples from 1, those left out at the start as well."""
    numbers = tf.data.Dataset.counter(1)
    numbered = tf.data.Dataset.zip({"example": dataset, "position": numbers})
    return numbered.skip(position)


def _flatten(numbered):
    """Returns numbered examples, or batches of them, as one dict."""
    return numbered["example"] | {"position": numbered["position"]}


def _count_bytes(skipped, records):
    skipped.count_bytes(records["file_index"], records["serialized"])
    return records


def _data_options():
    """Returns options by which a batch's parser leaves the step its cores."""
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    return options

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

from distill.data.bad_files import (
    PARSER_ERRORS,
    find_bad_record,
    read_record,
)
from distill.data.bad_records import BadRecordError, describe_bad_record
from distill.data.batch_order import (
    count_bytes,
    data_options,
    flatten,
    number,
    take_turns,
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
from distill.data.segments import parse_segments
from distill.data.skipped_records import SkippedRecords
from distill.models.argument_checks import check_at_least, check_choice
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.settings.schema import DataSchema

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
    _sizes: dict = dataclasses.field(default_factory=dict, init=False)

    def __post_init__(self):
        """Checks the fields."""
        check_choice("on_bad_record", self.on_bad_record, ON_BAD_RECORD)
        check_at_least(1, batch_size=self.batch_size)

    def read_once(
        self, turn: tuple[int, int] = (0, 1)
    ) -> Iterator[dict[str, tf.Tensor]]:
        """Yields every example once, in an order that the files fix.

        Args:
          turn: `(i, n)`: only every n-th batch, from the i-th on.

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
        yield from self._read(
            np.arange(len(self.files)),
            lambda records: records,
            EVALUATION_KEY,
            turn=turn,
        )

    def read_shuffled(
        self,
        seed: int,
        epoch: int,
        buffer_size: int,
        position: int = 0,
        stream: tuple[int, int] = (0, 1),
    ) -> Iterator[dict[str, tf.Tensor]]:
        """Yields one epoch in an order drawn from the seed and the epoch.

        Args:
          seed: The run's seed.
          epoch: Number of the epoch, from 0.
          buffer_size: Records, or segments, among which the next one is drawn.
          position: As many of the epoch are left out at its start.
          stream: `(i, n)`: only every n-th file of the epoch, from the i-th on.

        Yields:
          Batches as `read_once` does.

        Raises:
          BadRecordError: As `read_once`.
        """
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(self.files)).astype(np.int64)
        index, count = stream
        files = order[index::count]
        shuffle_seed = int(random.integers(_MAX_SEED))

        def shuffle(examples):
            return examples.shuffle(
                buffer_size, seed=shuffle_seed, reshuffle_each_iteration=False
            )

        draw_key = epoch_key(seed, epoch)
        yield from self._read(files, shuffle, draw_key, position)

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

    def _read(self, file_indexes, order, draw_key, position=0, turn=(0, 1)):
        check_files([self.files[i] for i in file_indexes], self._sizes)
        skipped = SkippedRecords.create(len(self.files))
        records = read_raw_records(
            self.files,
            tf.data.Dataset.from_tensor_slices(file_indexes.astype(np.int64)),
            self.on_bad_record == "skip",
        )
        one_by_one = self.schema.segment_labels or self.on_bad_record == "skip"
        count = functools.partial(count_bytes, skipped)
        count_each = one_by_one or position or self.share < 1
        if count_each:
            # What is left out behind this was read as well.
            records = records.map(count)
        if self.share < 1:
            records = keep_share(records, self.share)
        if self.schema.segment_labels:
            # A batch may end amid a record's segments: these are counted.
            segments = self._parse_one_by_one(
                records, skipped, draw_key
            ).unbatch()
            dataset = number(order(segments), position).map(flatten)
            dataset = take_turns(dataset.batch(self.batch_size), turn)
        elif one_by_one:
            numbered = number(order(records), position).map(flatten)
            dataset = self._parse_one_by_one(numbered, skipped, draw_key)
            dataset = take_turns(dataset.batch(self.batch_size), turn)
        else:
            numbered = number(order(records), position)
            dataset = numbered.batch(self.batch_size).map(flatten)
            if not count_each:
                dataset = dataset.map(count)
            dataset = self._parse(take_turns(dataset, turn), draw_key)
        dataset = dataset.prefetch(2).with_options(data_options())
        num_batches = 0
        for batch in self._raise_clearly(dataset):
            self._check_records(batch)
            num_batches += 1
            yield batch
        self._finish(skipped, file_indexes)
        reads_all = len(file_indexes) == len(self.files) and turn == (0, 1)
        if num_batches == 0 and position == 0 and reads_all:
            example = "segment" if self.schema.segment_labels else "record"
            raise BadRecordError(
                f"No {'good ' * (self.on_bad_record == 'skip')}{example} in "
                f"{describe_files(self.files)}."
            )

    def _finish(self, skipped, file_indexes):
        """Reports what a whole pass left out, or raises for damaged files."""
        damaged = skipped.report_damaged_files(self.files, file_indexes)
        if damaged:
            check_files([self.files[i] for i in file_indexes], self._sizes)
        if self.on_bad_record == "fail" and damaged:
            raise BadRecordError(damaged[0])
        layout = (self.schema, self.need_labels, self.budget)
        for line in skipped.report(self.files, *layout) + damaged:
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
        reasons = batch.pop("reason").numpy()
        bad = np.flatnonzero(reasons != GOOD)
        file_indexes = batch.pop("file_index")
        numbers = batch.pop("record_number")
        if bad.size:
            file = self.files[int(file_indexes[bad[0]])]
            number = int(numbers[bad[0]])
            reason = int(reasons[bad[0]])
            problem = describe_bad_record(
                read_record(file, number),
                *(self.schema, self.need_labels, self.budget, reason),
            )
            raise BadRecordError(
                f"{file}, record {number}: {problem}. "
                "(--on_bad_record=skip leaves such records out.)"
            )

"""From files to batches: reading, order, checking and batching.

The order of training follows from the run's seed and the epoch alone. Every
batch carries its position in the epoch, so a resumed run skips the records it
has seen without parsing them. Segments, and videos drawn with replacement, are
counted one by one instead: those seen before are parsed again.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from distill.data.bad_records import (
    PARSER_ERRORS,
    BadRecordError,
    Expected,
    describe_bad_record,
    find_bad_record,
)
from distill.data.bootstrap import repeat_drawn
from distill.data.files import check_files, describe_files, file_size
from distill.data.frame_draws import (
    EVALUATION_KEY,
    epoch_key,
)
from distill.data.length_buckets import bucket_by_length
from distill.data.numbering import flatten, number_examples
from distill.data.reasons import GOOD, TOO_SHORT
from distill.data.record_forms import begins_packed
from distill.data.records import Parsed, parse_record
from distill.data.segments import parse_segments
from distill.data.skipped_records import SkippedRecords
from distill.data.tfrecords import (
    FRAMING_BYTES,
    limit_records,
    read_chosen_records,
    read_raw_records,
    read_record,
)
from distill.data.traced_parsers import TracedParser
from distill.models.argument_checks import check_at_least, check_choice
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.settings.schema import DataSchema
from distill.system.write_errors import operation_words

ON_BAD_RECORD = ("fail", "skip")
_MAX_SEED = 2**31
_RECORDS_OF_ESTIMATES = 64


@dataclasses.dataclass(frozen=True)
class VideoReader:
    """Reads the videos of a list of files, or segments of them, in batches.

    Attributes:
      schema: The records' layout. With `segment_labels` an example is not a
        record's video but one of its segments.
      files: The files' names.
      batch_size: Examples a batch; the last one of a pass may hold fewer.
      need_labels: Whether a record without labels is bad. Of segments: whether
        the rated ones are read, or all of five frames.
      on_bad_record: `fail` raises at the first bad record, `skip` leaves bad
        records out and reports them after the pass.
      budget: The frames that are decoded of a video.
      num_draws: Random numbers per video that every batch brings along for
        selections inside the graph.
      share: Share of every file's records that is read, spread evenly.
      min_frames: Videos of fewer frames are left out; every pass that leaves
        out another number of them than the one before says so.
      bootstrap_key: Key of a training set drawn with replacement
        (`distill.data.bootstrap`); None: each video once.
      bucket_by_length: Whether `read_shuffled` puts videos of similar length
        into a batch (`distill.data.length_buckets`).
    """

    schema: DataSchema
    files: list[str]
    batch_size: int
    need_labels: bool = True
    on_bad_record: str = "fail"
    budget: FrameBudget = ALL_FRAMES
    num_draws: int = 0
    share: float = 1.0
    min_frames: int = 1
    bootstrap_key: str | None = None
    bucket_by_length: bool = False
    # A reader of some of the files, made by `dataclasses.replace`, shares them.
    _sizes: dict[str, int] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )
    _num_short: list[int] = dataclasses.field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Checks the fields."""
        check_choice("on_bad_record", self.on_bad_record, ON_BAD_RECORD)
        check_at_least(1, batch_size=self.batch_size)
        _ = self._expected
        if self.bucket_by_length:
            self._check_lengths()

    def _check_lengths(self) -> None:
        excluded = {
            "video-level records": not self.schema.frame_features,
            "segments": self.schema.segment_labels,
            "a bootstrap": self.bootstrap_key is not None,
        }
        for name, is_so in excluded.items():
            if is_so:
                raise ValueError(
                    "bucket_by_length is for whole videos at frame level, each "
                    f"read once; not for {name}."
                )

    @property
    def _expected(self) -> Expected:
        return Expected(
            self.schema, self.need_labels, self.budget, self.min_frames
        )

    def read_once(self, turn: tuple[int, int] = (0, 1)) -> Iterator[Parsed]:
        """Yields every example once, always in the same order.

        Args:
          turn: `(i, n)`: only every n-th batch, from the i-th on.

        Yields:
          Dict of `id` string `[batch]`, `labels` bool `[batch, classes]` and
          `frames` uint8, or float32 of data with floats, `[batch, selected
          frames, features]` with `num_frames` int32 `[batch]`, or `features`
          float32 `[batch, features]`.
          `position` int64 `[batch]` counts the records of the pass up to and
          including the example, or with a `bootstrap_key` the drawn examples.
          For segments `id` is `VIDEO:START`, `position` counts good segments,
          and `label_weights` bool `[batch, classes]`
          marks the rated classes. With `num_draws` also `draws` float32
          `[batch, num_draws]` in [0, 1).

        Raises:
          BadRecordError: A record or file is bad, or there is no record.
        """
        yield from self._read(
            np.arange(len(self.files)),
            lambda records: records,
            EVALUATION_KEY,
            turn=turn,
        )

    def read_chosen(
        self, order: np.ndarray, first: np.ndarray
    ) -> Iterator[Parsed]:
        """Yields some whole batches of those of `read_once`.

        No record may be left out, and none may be several examples.

        Args:
          order: As `distill.data.tfrecords.read_chosen_records`.
          first: The same.

        Raises:
          BadRecordError: A record or file is bad.
        """
        check_files([self.files[i] for i in np.unique(order)], self._sizes)
        records = read_chosen_records(self.files, order, first)
        dataset = self._parser(EVALUATION_KEY).parse_batches(
            number_examples(records, 0),
            self.batch_size,
            (0, 1),
            None,
            self._begins_packed,
        )
        for batch in self._raise_clearly(dataset.with_options(_options())):
            self._check_records(batch)
            yield batch

    def read_shuffled(
        self,
        seed: int,
        epoch: int,
        buffer_size: int,
        position: int = 0,
        stream: tuple[int, int] = (0, 1),
    ) -> Iterator[Parsed]:
        """Yields one epoch in an order drawn from the seed and the epoch.

        Args:
          seed: The run's seed.
          epoch: Number of the epoch, from 0.
          buffer_size: Records, or segments, among which the next one is drawn.
          position: Examples to leave out at the start of the epoch.
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
            shuffled = examples.shuffle(
                buffer_size, seed=shuffle_seed, reshuffle_each_iteration=False
            )
            if not self.bucket_by_length:
                return shuffled
            return bucket_by_length(shuffled, self.batch_size, shuffle_seed)

        draw_key = epoch_key(seed, epoch)
        yield from self._read(files, shuffle, draw_key, position)

    def file_sizes(self) -> dict[str, int]:
        """Returns the bytes of every file by name, in the files' order.

        They are those at the first look: each pass compares them again.
        """
        for file in self.files:
            if file not in self._sizes:
                self._sizes[file] = file_size(file)
        return {file: self._sizes[file] for file in self.files}

    def estimate_num_records(self) -> int:
        """Estimates the number of records by the mean size of the first."""
        return round(self.share * self._estimate_in_files())

    def _estimate_in_files(self) -> int:
        return estimate_num_records(self.files, sum(self.file_sizes().values()))

    def estimate_num_examples(self) -> int:
        """Estimates the number of records, or of segments if it reads those."""
        if self.schema.segment_labels:

            def count(serialized):
                parsed = parse_segments(
                    serialized, self.schema, self.need_labels
                )
                return tf.size(parsed["id"])

        elif self.min_frames > 1:

            def count(serialized):
                parsed = parse_record(
                    serialized,
                    self.schema,
                    self.need_labels,
                    min_frames=self.min_frames,
                )
                return tf.cast(parsed["reason"] != TOO_SHORT, tf.int32)

        else:
            return self.estimate_num_records()
        counts = _first_records(self.files).map(count).ignore_errors()
        mean = np.mean(list(counts.as_numpy_iterator()) or [0])
        examples = round(self._estimate_in_files() * mean)
        return round(self.share * examples)

    def _read(
        self,
        file_indexes: np.ndarray,
        order: Callable[[tf.data.Dataset], tf.data.Dataset],
        draw_key: str,
        position: int = 0,
        turn: tuple[int, int] = (0, 1),
    ) -> Iterator[Parsed]:
        check_files([self.files[i] for i in file_indexes], self._sizes)
        skipped = SkippedRecords(len(self.files))
        dataset = self._make_batches(
            file_indexes, order, draw_key, position, turn, skipped
        )
        num_batches = 0
        for batch in self._raise_clearly(dataset):
            self._check_records(batch)
            num_batches += 1
            yield batch
        self._finish(skipped, file_indexes)
        reads_all = len(file_indexes) == len(self.files) and turn == (0, 1)
        if num_batches == 0 and position == 0 and reads_all:
            example = "segment" if self.schema.segment_labels else "record"
            if self.min_frames > 1:
                example = f"video of {self.min_frames} frames or more"
            if self.bootstrap_key is not None:
                example = f"drawn {example}"
            raise BadRecordError(
                f"No {'good ' * (self.on_bad_record == 'skip')}{example} in "
                f"{describe_files(self.files)}."
            )

    @tf.autograph.experimental.do_not_convert
    def _make_batches(
        self,
        file_indexes: np.ndarray,
        order: Callable[[tf.data.Dataset], tf.data.Dataset],
        draw_key: str,
        position: int,
        turn: tuple[int, int],
        skipped: SkippedRecords,
    ) -> tf.data.Dataset:
        index, num_turns = turn
        records = read_raw_records(
            self.files,
            tf.data.Dataset.from_tensor_slices(file_indexes.astype(np.int64)),
            self.on_bad_record == "skip",
        )
        leaves_out = self.on_bad_record == "skip" or self.min_frames > 1
        # A record may be several examples, or none.
        divides = self.schema.segment_labels or self.bootstrap_key is not None
        one_by_one = divides or leaves_out
        count_each = one_by_one or position or self.share < 1
        if count_each:
            # Records that are left out further on have been read as well.
            records = records.map(skipped.count_bytes)
        if self.share < 1:
            records = _keep_share(records, self.share)
        if divides:
            # Examples are numbered: a batch may end amid those of a record.
            examples = self._parse_one_by_one(records, skipped, draw_key)
            dataset = number_examples(order(examples.unbatch()), position).map(
                flatten
            )
            dataset = dataset.batch(self.batch_size).shard(num_turns, index)
        elif one_by_one:
            numbered = number_examples(order(records), position).map(flatten)
            dataset = self._parse_one_by_one(numbered, skipped, draw_key)
            dataset = dataset.batch(self.batch_size).shard(num_turns, index)
        else:
            numbered = number_examples(order(records), position)
            dataset = self._parser(draw_key).parse_batches(
                numbered,
                self.batch_size,
                turn,
                None if count_each else skipped,
                self._begins_packed,
            )
        return dataset.prefetch(2).with_options(_options())

    def _finish(
        self, skipped: SkippedRecords, file_indexes: np.ndarray
    ) -> None:
        """Reports what a whole pass left out, or raises for damaged files."""
        damaged = skipped.report_damaged_files(self.files, file_indexes)
        if damaged:
            check_files([self.files[i] for i in file_indexes], self._sizes)
        if self.on_bad_record == "fail" and damaged:
            raise BadRecordError(damaged[0])
        for line in skipped.report(self.files, self._expected) + damaged:
            print(f"WARNING: {line}", flush=True)
        if skipped.num_short and self._num_short[-1:] != [skipped.num_short]:
            self._num_short.append(skipped.num_short)
            print(
                f"left out {skipped.num_short} videos of fewer than "
                f"{self.min_frames} frames (--min_frames)",
                flush=True,
            )

    def _parser(self, draw_key: str) -> TracedParser:
        # The same for all epochs where no epoch draws numbers of its own.
        is_drawn = self.num_draws > 0 or not self.budget.is_fixed
        return TracedParser(
            self.schema,
            self.need_labels,
            self.budget,
            draw_key if is_drawn else EVALUATION_KEY,
            self.num_draws,
            self.min_frames,
        )

    @functools.cached_property
    def _begins_packed(self) -> bool:
        """Whether the first record of the files is packed."""
        return self.schema.frame_features and begins_packed(
            self.files, self.schema
        )

    def _parse_one_by_one(
        self, dataset: tf.data.Dataset, skipped: SkippedRecords, draw_key: str
    ) -> tf.data.Dataset:
        """Parses single records, so that some can be left out or repeated.

        Records are counted before and after the parser, in order. Segments,
        and examples that are drawn, are `[examples, ...]`.
        """
        segments, key = self.schema.segment_labels, self.bootstrap_key
        skip = self.on_bad_record == "skip"

        def is_kept(parsed):
            reason = parsed["reason"]
            return reason == GOOD if skip else reason != TOO_SHORT

        def repeat_for_segments(parsed):
            count = tf.size(parsed["id"])
            for name in ("reason", "file_index", "record_number"):
                parsed[name] = tf.repeat(parsed[name], count)
            return parsed

        def repeat_as_drawn(parsed):
            if not segments:
                parsed = {name: value[None] for name, value in parsed.items()}
            return repeat_drawn(parsed, segments, key)

        leaves_out = skip or self.min_frames > 1
        if leaves_out:
            dataset = dataset.map(skipped.count_seen)
        dataset = self._parser(draw_key).parse_one_by_one(dataset)
        if skip:
            dataset = dataset.ignore_errors()
        if leaves_out:
            dataset = dataset.map(skipped.count_reason).filter(is_kept)
        if segments:
            dataset = dataset.map(repeat_for_segments)
        return dataset if key is None else dataset.map(repeat_as_drawn)

    def _raise_clearly(self, dataset: tf.data.Dataset) -> Iterator[Parsed]:
        try:
            yield from dataset
        except PARSER_ERRORS as error:
            problem = find_bad_record(self.files, self._expected)
            raise BadRecordError(
                problem or f"{operation_words(error)}."
            ) from error

    def _check_records(self, batch: Parsed) -> None:
        reasons = batch.pop("reason").numpy()
        bad = np.flatnonzero(reasons != GOOD)
        file_indexes = batch.pop("file_index")
        numbers = batch.pop("record_number")
        if bad.size:
            file = self.files[int(file_indexes[bad[0]])]
            number = int(numbers[bad[0]])
            reason = int(reasons[bad[0]])
            problem = describe_bad_record(
                read_record(file, number), self._expected, reason
            )
            raise BadRecordError(
                f"{file}, record {number}: {problem}. "
                "(--on_bad_record=skip leaves such records out.)"
            )


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # Packed records are decoded into the memory of their batch.
    options.experimental_optimization.map_and_batch_fusion = True
    # One thread for each batch's parser leaves the step its cores.
    options.threading.max_intra_op_parallelism = 1
    # Its tuner holds up the end of a pass, by a second or more.
    options.autotune.enabled = False
    return options


def estimate_num_records(files: list[str], num_bytes: int | None = None) -> int:
    """Estimates the number of records by the mean size of the first 64.

    `num_bytes` are those of all files; None to ask for them here.
    """
    sizes = [
        len(each.numpy()) + FRAMING_BYTES for each in _first_records(files)
    ]
    if not sizes:
        return 0
    if num_bytes is None:
        num_bytes = sum(map(file_size, files))
    return round(num_bytes * len(sizes) / sum(sizes))


def _first_records(files: list[str]) -> tf.data.Dataset:
    names = tf.data.Dataset.from_tensor_slices(files)
    records = names.flat_map(
        lambda name: tf.data.TFRecordDataset(name).take(limit_records(name))
    )
    return records.ignore_errors().take(_RECORDS_OF_ESTIMATES)


def _keep_share(records: tf.data.Dataset, share: float) -> tf.data.Dataset:
    """Leaves a share of every file's records, spread evenly over it."""

    def is_kept(record):
        number = tf.cast(record["record_number"], tf.float64)
        return tf.floor((number + 1) * share) > tf.floor(number * share)

    return records.filter(is_kept)

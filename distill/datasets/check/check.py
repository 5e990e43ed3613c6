"""The splits of a data set, checked file by file in several processes."""

import collections
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distill.data.bad_records import Expected
from distill.datasets.check.file_check import FileChecker, FileFindings
from distill.datasets.check.label_pairs import LabelPairs
from distill.datasets.check.processes import map_in_processes
from distill.datasets.check.video_ids import (
    Duplicates,
    VideoIds,
    keep_first,
)


@dataclasses.dataclass(frozen=True)
class Split:
    """Files of one split, and the properties of their good records."""

    files: list[str]
    expected: Expected


class SplitFindings:
    """Contents of a split; at first of none of its files.

    Attributes:
      split: Its files.
      by_file: The figures of every file, by the file's number.
      bad: Bad records by reason.
      examples: The first few of each reason: file, record number, problem.
      damage: Describes every damaged file, by the file's number.
      label_counts: int64 `[classes]`, the good videos (or segments) of each;
        without short ones.
      label_pairs: Classes that good videos have together; none of segments.
      num_short: Good videos of fewer frames than `Expected.min_frames`.
      frame_counts: At frame level, good videos by their number of frames.
      labels_by_length: At frame level, labels of good videos by that number.
    """

    def __init__(self, split: Split) -> None:
        self.split = split
        self.by_file: dict[int, dict[str, Any]] = {}
        self.bad: collections.Counter[str] = collections.Counter()
        self.examples: dict[str, list[tuple[int, int, str]]] = {}
        self.damage: dict[int, str] = {}
        num_classes = split.expected.schema.num_classes
        self.label_counts = np.zeros(num_classes, np.int64)
        self.label_pairs = LabelPairs(num_classes)
        self.num_short = 0
        self.frame_counts: collections.Counter[int] = collections.Counter()
        self.labels_by_length: collections.Counter[int] = collections.Counter()

    def add(self, file: int, found: FileFindings) -> None:
        """Adds a file's findings."""
        self.by_file[file] = {
            "file": self.split.files[file],
            "bytes": found.num_bytes,
            "records": found.num_records,
            "good": found.num_good,
            "segments": found.num_segments,
            "bad": dict(sorted(found.bad.items())),
            "lost_bytes": found.lost_bytes,
            "damage": found.damage,
        }
        self.bad.update(found.bad)
        for reason, examples in found.examples.items():
            for example in examples:
                kept = self.examples.setdefault(reason, [])
                keep_first(kept, (file, *example))
        if found.damage is not None:
            self.damage[file] = found.damage
        self.label_counts += found.label_counts
        self.label_pairs.add(found.label_pairs)
        self.num_short += found.num_short
        self.labels_by_length.update(found.labels_by_length)
        self.frame_counts.update(found.frame_counts)

    def total(self, figure: str) -> int:
        """Returns the sum of a figure of `by_file`."""
        return sum(each[figure] for each in self.by_file.values())

    @property
    def is_bad(self) -> bool:
        """True if a record or file is bad, or no record is good."""
        return bool(self.bad or self.damage or not self.total("good"))


@dataclasses.dataclass
class DataFindings:
    """Contents of all splits.

    Attributes:
      splits: Findings by the split's name.
      duplicates: Ids that come twice, by the names of two splits, or the same
        name twice for ids within one split.
    """

    splits: dict[str, SplitFindings]
    duplicates: dict[tuple[str, str], Duplicates]

    @property
    def is_bad(self) -> bool:
        """True if a split is bad or an id comes twice."""
        splits = self.splits.values()
        return bool(self.duplicates) or any(each.is_bad for each in splits)


def check_splits(
    splits: Mapping[str, Split],
    num_processes: int,
    observe: Callable[[int], None] | None = None,
) -> DataFindings:
    """Reads every record of all splits, by name, several files at once.

    `observe` is called with the number of files read so far.

    Raises:
      ValueError: A process ended before its file was read.
    """
    names = list(splits)
    jobs = [
        (name, file)
        for name in names
        for file in range(len(splits[name].files))
    ]
    findings = {name: SplitFindings(split) for name, split in splits.items()}
    results = map_in_processes(
        functools.partial(_SplitChecker, dict(splits)),
        jobs,
        num_processes,
        lambda job: splits[job[0]].files[job[1]],
    )
    with VideoIds() as ids, contextlib.closing(results):
        for done, (job, found) in enumerate(results, start=1):
            name, file = jobs[job]
            findings[name].add(file, found)
            ids.add(names.index(name), file, found.ids)
            if observe is not None:
                observe(done)
        twice = ids.find_duplicates()
    return DataFindings(
        findings,
        {
            (names[first], names[second]): duplicates
            for (first, second), duplicates in sorted(twice.items())
        },
    )


class _SplitChecker:
    """Checks files of all splits; lives in a process of its own."""

    def __init__(self, splits: Mapping[str, Split]) -> None:
        import tensorflow as tf

        from distill.distributed.devices import choose_devices

        # The processes share the cores, one each.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        choose_devices(-1)
        self._splits = splits
        self._checkers: dict[str, FileChecker] = {}

    def __call__(self, job: tuple[str, int]) -> FileFindings:
        name, file = job
        split = self._splits[name]
        if name not in self._checkers:
            self._checkers[name] = FileChecker(split.expected)
        return self._checkers[name].check(split.files[file])

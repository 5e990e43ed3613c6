"""A data set's splits, checked file by file in several processes."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distill.datasets.check.examples import FirstExamples
from distill.datasets.check.file_check import (
    MOST_EXAMPLES,
    Expected,
    FileChecker,
    FileFindings,
)
from distill.datasets.check.processes import map_in_processes
from distill.datasets.check.video_ids import Duplicates, VideoIds


@dataclasses.dataclass(frozen=True)
class Split:
    """Files that are checked as one.

    Attributes:
      files: Their names.
      expected: What their records should be.
    """

    files: list[str]
    expected: Expected


@dataclasses.dataclass
class SplitFindings:
    """What a split holds.

    Attributes:
      split: Its files.
      by_file: Of every file its figures, by the file's number.
      bad: Bad records by reason.
      examples: Of each reason the first: file, record number, what is wrong.
      damage: Words on every damaged file, by the file's number.
      label_counts: int64 `[classes]`, the good videos (or segments) of each.
      frame_counts: At frame level, good videos by their number of frames.
    """

    split: Split
    by_file: dict[int, dict[str, Any]]
    bad: collections.Counter[str]
    examples: dict[str, FirstExamples]
    damage: dict[int, str]
    label_counts: np.ndarray
    frame_counts: collections.Counter[int]

    @classmethod
    def of_nothing(cls, split: Split) -> "SplitFindings":
        """Returns the findings before a file is read."""
        classes = np.zeros(split.expected.schema.num_classes, np.int64)
        count = collections.Counter
        return cls(split, {}, count(), {}, {}, classes, count())

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
            kept = self.examples.setdefault(
                reason, FirstExamples(MOST_EXAMPLES)
            )
            for number, problem in examples:
                kept.add((file, number, problem))
        if found.damage is not None:
            self.damage[file] = found.damage
        self.label_counts += found.label_counts
        self.frame_counts.update(found.frame_counts)

    def total(self, figure: str) -> int:
        """Returns the sum of a figure of `by_file`."""
        return sum(each[figure] for each in self.by_file.values())

    @property
    def is_bad(self) -> bool:
        """Whether a record or a file is bad, or no record is good."""
        return bool(self.bad or self.damage or not self.total("good"))


@dataclasses.dataclass
class DataFindings:
    """What all splits hold.

    Attributes:
      splits: Findings by the split's name.
      duplicates: What comes twice, by the names of two splits, or twice of
        one.
    """

    splits: dict[str, SplitFindings]
    duplicates: dict[tuple[str, str], Duplicates]

    @property
    def is_bad(self) -> bool:
        """Whether anything is bad."""
        splits = self.splits.values()
        return bool(self.duplicates) or any(each.is_bad for each in splits)


def check_splits(
    splits: Mapping[str, Split],
    num_processes: int,
    observe: Callable[[int], None] | None = None,
) -> DataFindings:
    """Reads every record of all splits.

    Args:
      splits: What to read, by name.
      num_processes: Files read at once, each by a process of its own.
      observe: Is called with the number of files read so far, if given.

    Raises:
      ValueError: A process ended before its file was read.
    """
    names = list(splits)
    jobs = [
        (name, file)
        for name in names
        for file in range(len(splits[name].files))
    ]
    findings = {
        name: SplitFindings.of_nothing(split) for name, split in splits.items()
    }
    make_work = functools.partial(_SplitChecker, dict(splits))
    with VideoIds() as ids:
        for done, (job, found) in enumerate(
            map_in_processes(
                make_work,
                jobs,
                num_processes,
                lambda job: splits[job[0]].files[job[1]],
            ),
            start=1,
        ):
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
    """Checks the files of all splits, in a process of its own."""

    def __init__(self, splits: Mapping[str, Split]):
        import tensorflow as tf

        from distill.distributed.devices import choose_devices

        # A core each: the processes are as many as are wanted.
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

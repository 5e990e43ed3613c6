"""The splits of a data set, checked file by file.

Several processes of one machine, or the workers of a runner on many, check a
file each.
"""

import collections
import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.data.bad_records import BadRecordError, Expected
from distill.data.files import file_size
from distill.datasets.check.file_check import FileChecker, FileFindings
from distill.datasets.check.label_pairs import LabelPairs
from distill.datasets.check.processes import map_in_processes
from distill.datasets.check.video_ids import (
    Duplicates,
    VideoIds,
    keep_first,
)
from distill.system.atomic_files import replace_atomically
from distill.system.part_files import PartFiles
from distill.system.small_files import read_json_object
from distill.system.storage import to_path
from distill.system.tasks import RunTasks

# Beside some figures, the ids of a file's videos and its pairs of labels.
_MOST_FOUND = 2_000_000_000
# A split's name and the number of a file.
Job = tuple[str, int]


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
    jobs = _list_jobs(splits)
    results = map_in_processes(
        functools.partial(_SplitChecker.of_process, dict(splits)),
        jobs,
        num_processes,
        lambda job: splits[job[0]].files[job[1]],
    )
    with contextlib.closing(results):
        found = ((jobs[job], each) for job, each in results)
        return _join(splits, found, observe)


def check_splits_by(
    run: RunTasks, splits: Mapping[str, Split], output_dir: str | Path
) -> DataFindings:
    """Reads by the workers of a runner what `check_splits` reads.

    Args:
      run: Does the tasks.
      splits: The splits by name.
      output_dir: Directory of the report. Beside it lies meanwhile, in a
        hidden directory, what was found in each file.

    Raises:
      ValueError: The runner has failed.
    """
    jobs = _list_jobs(splits)
    described = [
        [name, dataclasses.asdict(split), [*map(_size, split.files)]]
        for name, split in splits.items()
    ]
    parts = PartFiles(to_path(output_dir).absolute(), described, len(jobs))
    run(
        functools.partial(_FindingsWriter, dict(splits)),
        [(jobs[number], parts.paths[number]) for number in parts.missing()],
    )
    parts.check()
    found = (
        (job, FileFindings.from_json(read_json_object(path, _MOST_FOUND)))
        for job, path in zip(jobs, parts.paths, strict=True)
    )
    joined = _join(splits, found)
    parts.remove()
    return joined


def _size(file: str) -> int | None:
    """Returns a file's size; None if it cannot be read, which a check finds."""
    try:
        return file_size(file)
    except BadRecordError:
        return None


def _list_jobs(splits: Mapping[str, Split]) -> list[Job]:
    return [
        (name, file)
        for name, split in splits.items()
        for file in range(len(split.files))
    ]


def _join(
    splits: Mapping[str, Split],
    results: Iterable[tuple[Job, FileFindings]],
    observe: Callable[[int], None] | None = None,
) -> DataFindings:
    """Returns the findings of all files, which may come in any order."""
    names = list(splits)
    findings = {name: SplitFindings(split) for name, split in splits.items()}
    with VideoIds() as ids:
        for done, ((name, file), found) in enumerate(results, start=1):
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
    """Checks files of all splits.

    Its task is a split's name and a file's number; it returns the findings.
    """

    def __init__(self, splits: Mapping[str, Split]) -> None:
        self._splits = splits
        self._checkers = {
            name: FileChecker(split.expected) for name, split in splits.items()
        }

    @classmethod
    def of_process(cls, splits: Mapping[str, Split]) -> "_SplitChecker":
        """Returns the one of a process that shares the cores with others."""
        import tensorflow as tf

        from distill.distributed.devices import choose_devices

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        choose_devices(-1)
        return cls(splits)

    def __call__(self, job: Job) -> FileFindings:
        name, file = job
        return self._checkers[name].check(self._splits[name].files[file])


class _FindingsWriter:
    """Checks a file, and writes the findings to the path beside the job."""

    def __init__(self, splits: Mapping[str, Split]) -> None:
        self._check = _SplitChecker(splits)

    def __call__(self, task: tuple[Job, Path]) -> None:
        job, path = task
        found = self._check(job)
        with replace_atomically(path) as temporary:
            temporary.write_text(json.dumps(found.to_json()))

"""Arrays packed into shards on many machines, a task a shard.

The shards are those that `write_records` writes, byte for byte.
"""

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from distill.datasets.array_sources import ArrayEntry, ArraySource
from distill.datasets.array_videos import (
    ArrayFindings,
    check_videos,
    named_error,
)
from distill.datasets.pack import (
    DESCRIPTION,
    check_directory,
    describe,
    make_plan,
    make_record,
    split_of,
)
from distill.datasets.packed_data import (
    PackedData,
    RecordPlan,
    describe_data_set,
)
from distill.datasets.shard_tasks import DescribedShards, Shard
from distill.datasets.shards import shard_name
from distill.datasets.video_list import digest_of
from distill.settings.pack import PackSettings
from distill.settings.schema import describe_record_settings
from distill.system.atomic_files import replace_atomically
from distill.system.part_files import PartFiles
from distill.system.small_files import read_json_object
from distill.system.storage import to_path
from distill.system.tasks import RunTasks

# A class a line.
_MOST_SURVEYED = 100_000_000


class PackedShards:
    """The shards of a source's videos.

    Args:
      source: The videos.
      output_dir: Where the shards go; those of other settings are refused.
      settings: Quantisation, splits and shards.
      class_names: The name of every class; None to sort the names found.
      run: Does the tasks.

    Raises:
      ValueError: A video has a wrong form or two have one id, or `output_dir`
        holds something else.
    """

    def __init__(
        self,
        source: ArraySource,
        output_dir: str | Path,
        settings: PackSettings,
        class_names: Sequence[str] | None,
        run: RunTasks,
    ):
        self._source, self._run = source, run
        self._directory = to_path(output_dir).absolute()
        check_directory(self._directory)
        entries = _list_entries(source)
        # All videos must be as the first one is.
        first = ArrayFindings(settings)
        list(check_videos(source.load(entries[:1]), first))
        self._first = first.of_first()
        shards = self._divide(entries, settings)
        videos = digest_of(entries)
        self._surveys = PartFiles(
            self._directory / "survey",
            [videos, describe_record_settings(settings)],
            len(shards),
        )
        self._plan = make_plan(
            settings, class_names, lambda: self._survey(shards)
        )
        described = {
            "records": describe_record_settings(settings),
            "range": list(self._plan.value_range),
            "num_classes": self._plan.num_classes,
            "class_names": self._plan.class_names and [*self._plan.class_names],
            "videos": videos,
        }
        # Tuples become lists.
        described = json.loads(json.dumps(described))
        self._shards = DescribedShards(
            self._directory, DESCRIPTION, described, shards, "packed"
        )

    def _divide(
        self, entries: Sequence[ArrayEntry], settings: PackSettings
    ) -> list[Shard]:
        """Returns the shards, among which each split's videos take turns."""
        splits: dict[str, list[ArrayEntry]] = {}
        plan = RecordPlan(settings, 1, None, (0, 1))
        for entry in entries:
            splits.setdefault(split_of(entry, plan), []).append(entry)
        count = settings.num_shards
        return [
            Shard(
                self._directory / shard_name(split, index, count),
                split,
                members[index::count],
            )
            for split, members in sorted(splits.items())
            for index in range(count)
        ]

    def _survey(self, shards: Sequence[Shard]) -> ArrayFindings:
        """Returns facts on all videos, which workers read for them."""
        paths = self._surveys.paths
        self._run(
            functools.partial(_Surveyor, self._source, self._first),
            [(shards[n].videos, paths[n]) for n in self._surveys.missing()],
        )
        self._surveys.check()
        found = self._first.of_first()
        for path in paths:
            found.join(read_json_object(path, _MOST_SURVEYED))
        return found

    def write(
        self, report: Callable[[Path, bool], None] = lambda path, written: None
    ) -> PackedData:
        """Writes the missing shards, and the files that describe the data.

        Args:
          report: Called with every shard's path and whether it is new.

        Raises:
          ValueError: A video has a wrong form; the message names it.
        """
        missing = self._shards.begin()
        new = {shard.path for shard in missing}
        self._run(
            functools.partial(
                _ShardWriter, self._source, self._first, self._plan
            ),
            missing,
        )
        found, num_clipped = self._first.of_first(), 0
        num_videos: Counter[str] = Counter()
        for shard in self._shards.shards:
            note = shard.read_note()
            found.join(note["found"])
            num_clipped += note["clipped"]
            num_videos[shard.split] += len(shard.videos)
            report(shard.path, shard.path in new)
        packed = describe(self._plan, found, num_videos, num_clipped)
        describe_data_set(packed, self._directory, self._directory, "pack")
        self._surveys.remove()
        return packed


def _list_entries(source: ArraySource) -> list[ArrayEntry]:
    """Returns all videos; ValueError if two have one id."""
    entries, ids = list(source.entries()), set()
    for entry in entries:
        if entry.id in ids:
            error = ValueError(f"another video has the id {entry.id!r}")
            raise named_error(entry, error)
        ids.add(entry.id)
    if not entries:
        raise ValueError("There is no video to pack.")
    return entries


class _Surveyor:
    """Surveys the videos of a task, and writes what it finds."""

    def __init__(self, source: ArraySource, first: ArrayFindings):
        self._source, self._first = source, first

    def __call__(self, task: tuple[Sequence[ArrayEntry], Path]) -> None:
        entries, path = task
        found = self._first.of_first()
        for _ in check_videos(self._source.load(entries), found):
            pass
        with replace_atomically(path) as temporary:
            temporary.write_text(json.dumps(found.to_json()))


class _ShardWriter:
    """Packs the videos of a shard."""

    def __init__(
        self, source: ArraySource, first: ArrayFindings, plan: RecordPlan
    ):
        self._source, self._first, self._plan = source, first, plan

    def __call__(self, shard: Shard) -> None:
        found = self._first.of_first()
        note: dict[str, Any] = {"clipped": 0}

        def make_records() -> Iterator[bytes]:
            videos = self._source.load(shard.videos)
            for video in check_videos(videos, found):
                record, num_clipped = make_record(video, self._plan)
                note["clipped"] += num_clipped
                yield record
            note["found"] = found.to_json()

        shard.write(make_records(), note)

"""Videos' features, extracted into shards of records.

Several threads extract a shard each; every one has a process of its own that
decodes. On several machines every worker extracts shards by the same code.
"""

import csv
import dataclasses
import functools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from distill.datasets.budget_shards import (
    KeptFrames,
    keep_frames,
    make_selector,
)
from distill.datasets.packed_data import (
    PackedData,
    RecordPlan,
    describe_data_set,
)
from distill.datasets.shard_tasks import DescribedShards, Shard
from distill.datasets.shards import (
    serialize_record,
    shard_name,
    to_sequence_example,
)
from distill.datasets.video_list import VideoEntry, digest_of, name_classes
from distill.extraction.extractor import VideoExtractor
from distill.extraction.extractor_file import read_extractor
from distill.models.frame_budget import FrameBudget
from distill.settings.extraction import ExtractSettings
from distill.settings.schema import DataSchema, describe_record_settings
from distill.settings.video import BadVideoError, VideoSettings
from distill.system.atomic_files import replace_atomically
from distill.system.storage import to_path
from distill.system.tasks import RunTasks
from distill.video.decoding_process import DecodingProcesses

DESCRIPTION = "extract.json"
BAD_VIDEOS = "bad_videos.csv"


@dataclasses.dataclass(frozen=True)
class ExtractionPlan:
    """What holds for every video of a data set.

    Attributes:
      settings: The records.
      records: Classes, splits and quantisation.
      schema: The records' layout.
      limits: The rate of the frames, and limits of the videos.
      budget: The frames that are kept of a video.
    """

    settings: ExtractSettings
    records: RecordPlan
    schema: DataSchema
    limits: VideoSettings
    budget: FrameBudget


class ShardWriter:
    """Extracts the videos of a shard; threads may share it.

    Args:
      plan: What holds for every video.
      extractor: The networks.
      processes: Decodes the videos.
      advance: Called with the number of videos that are done, at times.
    """

    def __init__(
        self,
        plan: ExtractionPlan,
        extractor: VideoExtractor,
        processes: DecodingProcesses,
        advance: Callable[[int], None] = lambda count: None,
    ):
        self._plan, self._extractor = plan, extractor
        self._processes, self._advance = processes, advance
        self._select = None
        if not plan.budget.keeps_all:
            self._select = make_selector(KeptFrames(plan.schema, plan.budget))

    @classmethod
    def of_worker(
        cls, plan: ExtractionPlan, extractor_file: Path
    ) -> "ShardWriter":
        """Returns the one of a worker, with networks that a file describes."""
        extractor = read_extractor(extractor_file)
        return cls(plan, extractor, DecodingProcesses(plan.limits, 1))

    def close(self) -> None:
        """Ends the processes."""
        self._processes.__exit__()

    def __call__(self, shard: Shard) -> None:
        """Writes a shard, behind the note on its videos.

        Raises:
          BadVideoError: A video cannot be read, and they are not skipped.
          FileNotFoundError: There is no such file.
        """
        counts: Counter[str] = Counter()
        bad: list[tuple[str, str, str]] = []

        def make_records() -> Iterator[bytes]:
            for video in shard.videos:
                try:
                    yield self._make_record(video, counts)
                except (BadVideoError, FileNotFoundError) as error:
                    if self._plan.settings.on_bad_video == "stop":
                        raise
                    bad.append((video.id, video.path, str(error)))
                self._advance(1)

        shard.write(make_records(), {"counts": counts, "bad": bad})

    def _make_record(self, video: VideoEntry, counts: Counter[str]) -> bytes:
        """Returns a video's record, and counts what is in it."""
        with self._processes.open(video.path) as opened:
            num_frames = min(
                opened.info.num_frames, self._plan.schema.max_frames
            )
            spans, numbers = None, list(range(num_frames))
            if self._select is not None:
                (spans,) = self._select([video.id.encode()], [num_frames])
                if not self._plan.budget.averages:
                    numbers = spans[:, 0].tolist()
                    spans = np.arange(len(spans))[:, None] + [0, 1]
            features = self._extractor.features(opened, numbers)
        stored, records = {}, self._plan.records
        for name, array in features.items():
            stored[name], num_clipped = records.store(array)
            counts.update(clipped=num_clipped, floats=array.size)
        counts.update(videos=1, frames=len(numbers))
        labels = sorted({records.index(label) for label in video.labels})
        message = to_sequence_example(video.id, labels, stored)
        if spans is not None:
            source = os.path.basename(video.path)
            keep_frames(message, spans, self._plan.budget, source, num_frames)
        return serialize_record(
            message, self._plan.settings.record_form, stored
        )


class ExtractedData:
    """A data set of videos' features.

    Args:
      videos: The videos.
      output_dir: Where the shards go; those of other settings are refused.
      extractor: The networks.
      settings: The records.
      limits: The rate of the frames, and limits of the videos.
      budget: The frames that are kept of a video.
      class_names: The name of every class; None to take those of the labels.

    Raises:
      ValueError: `output_dir` holds what was extracted otherwise, or labels
        do not fit the classes.
    """

    def __init__(
        self,
        videos: Sequence[VideoEntry],
        output_dir: str | Path,
        extractor: VideoExtractor,
        settings: ExtractSettings,
        *,
        limits: VideoSettings,
        budget: FrameBudget,
        class_names: Sequence[str] | None = None,
    ):
        self._directory = to_path(output_dir).absolute()
        records = _make_plan(videos, settings, class_names)
        self.schema = records.schema(
            extractor.feature_names,
            extractor.feature_sizes,
            settings.max_frames,
        )
        self._plan = ExtractionPlan(
            settings, records, self.schema, limits, budget
        )
        described = {
            "extractor": extractor.identity(),
            "records": describe_record_settings(settings)
            | {"on_bad_video": None, "num_processes": None},
            "budget": dataclasses.asdict(budget),
            "videos": digest_of(videos),
            "class_names": records.class_names and [*records.class_names],
        }
        self._shards = DescribedShards(
            self._directory,
            DESCRIPTION,
            described,
            list(self._divide(videos)),
            "extracted",
        )
        self._processes = DecodingProcesses(limits, settings.num_processes)
        self._writer = ShardWriter(
            self._plan, extractor, self._processes, self._advance
        )
        self._count, self._lock = 0, threading.Lock()
        self._observe: Callable[[int], None] = lambda count: None

    def _divide(self, videos: Sequence[VideoEntry]) -> Iterator[Shard]:
        """Yields the shards of every split."""
        plan = self._plan
        splits: dict[str, list[VideoEntry]] = {}
        for video in videos:
            try:
                split = plan.records.split(video.id, video.split)
                for label in video.labels:
                    plan.records.index(label)
            except ValueError as error:
                raise ValueError(f"{video.path}: {error}.") from error
            splits.setdefault(split, []).append(video)
        for split, members in sorted(splits.items()):
            count = min(plan.settings.num_shards, len(members))
            borders = np.linspace(0, len(members), count + 1).astype(int)
            for index in range(count):
                path = self._directory / shard_name(split, index, count)
                some = members[borders[index] : borders[index + 1]]
                yield Shard(path, split, some)

    @property
    def num_videos(self) -> int:
        """Number of videos, bad ones too."""
        return sum(len(shard.videos) for shard in self._shards.shards)

    def write(
        self,
        report: Callable[[Path, bool], None] = lambda path, written: None,
        observe: Callable[[int], None] = lambda count: None,
    ) -> PackedData:
        """Writes the missing shards, and the files that describe the data.

        Args:
          report: Called with every shard's path and whether it is new.
          observe: Called with the number of videos that are done, at times.

        Raises:
          BadVideoError: A video cannot be read, and they are not skipped.
          FileNotFoundError: There is no such file.
        """
        self._observe = observe
        missing = self._shards.begin()
        with self._processes:
            running = {
                shard.path: self._processes.submit(self._writer, shard)
                for shard in missing
            }
            for shard in self._shards.shards:
                if shard.path in running:
                    running[shard.path].result()
                else:
                    self._advance(len(shard.videos))
                report(shard.path, shard.path in running)
        return self._finish()

    def _advance(self, count: int) -> None:
        with self._lock:
            self._count += count
            self._observe(self._count)

    def write_by(
        self,
        run: RunTasks,
        extractor_file: Path,
        report: Callable[[Path, bool], None] = lambda path, written: None,
    ) -> PackedData:
        """Writes by the workers of a runner what `write` writes.

        Args:
          run: Does the tasks.
          extractor_file: Describes the networks, which each worker loads.
          report: Called with every shard's path and whether it is new.

        Raises:
          ValueError: As `write`, or the runner has failed.
        """
        missing = self._shards.begin()
        new = {shard.path for shard in missing}
        make_writer = functools.partial(
            ShardWriter.of_worker, self._plan, extractor_file
        )
        run(make_writer, missing)
        for shard in self._shards.shards:
            if shard.path.exists():
                report(shard.path, shard.path in new)
        return self._finish()

    def _finish(self) -> PackedData:
        """Writes the files that describe the whole data set.

        Raises:
          ValueError: A shard is missing.
          BadVideoError: Every video is bad.
        """
        notes = [(shard, shard.read_note()) for shard in self._shards.shards]
        bad = [row for _, note in notes for row in note["bad"]]
        if bad:
            with (
                replace_atomically(self._directory / BAD_VIDEOS) as temporary,
                temporary.open("w", encoding="utf-8", newline="") as file,
            ):
                csv.writer(file).writerows([("id", "path", "reason"), *bad])
        counts: Counter[str] = Counter()
        num_videos: Counter[str] = Counter()
        for shard, note in notes:
            counts.update(note["counts"])
            num_videos[shard.split] += note["counts"].get("videos", 0)
        if not num_videos.total():
            raise BadVideoError(f"Every video is bad: {bad[0][2]}")
        clipped = None
        if not self._plan.settings.float_frames:
            clipped = counts["clipped"] / counts["floats"]
        names = self._plan.records.class_names
        packed = PackedData(self.schema, names, num_videos, clipped)
        describe_data_set(packed, self._directory, self._directory, "extract")
        return packed


def _make_plan(
    videos: Sequence[VideoEntry],
    settings: ExtractSettings,
    class_names: Sequence[str] | None,
) -> RecordPlan:
    if class_names is None:
        names, num_classes = name_classes(videos, settings.num_classes)
    else:
        names, num_classes = tuple(class_names), len(class_names)
    value_range = settings.quantisation_min, settings.quantisation_max
    return RecordPlan(settings, num_classes, names, value_range)

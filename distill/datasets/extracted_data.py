"""Videos' features, extracted into shards of records.

A shard is written whole or not at all, and a note beside it says what became
of its videos. An interrupted call is simply repeated: it keeps the shards that
are there. Several threads extract a shard each; every one has a process of its
own that decodes.
"""

import csv
import dataclasses
import json
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
from distill.datasets.shards import (
    shard_name,
    to_sequence_example,
    write_shard,
)
from distill.datasets.video_list import VideoEntry, digest_of, name_classes
from distill.extraction.extractor import VideoExtractor
from distill.models.frame_budget import FrameBudget
from distill.settings.extraction import ExtractSettings
from distill.settings.video import VideoSettings
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object
from distill.system.storage import to_path
from distill.video.decoder import BadVideoError
from distill.video.decoding_process import DecodingProcesses

DESCRIPTION = "extract.json"
BAD_VIDEOS = "bad_videos.csv"
# A line a skipped video.
_MOST_NOTED = 100_000_000


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A shard, and the videos of which it is made."""

    path: Path
    split: str
    videos: Sequence[VideoEntry]

    @property
    def note(self) -> Path:
        """File with what became of the videos."""
        return self.path.with_name(f".{self.path.name}.json")


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
        self._settings = settings
        self._extractor, self._budget = extractor, budget
        self._directory = to_path(output_dir).absolute()
        self._plan = _make_plan(videos, settings, class_names)
        self.schema = self._plan.schema(
            extractor.feature_names,
            extractor.feature_sizes,
            settings.max_frames,
        )
        self._select = None
        if not budget.keeps_all:
            self._select = make_selector(KeptFrames(self.schema, budget))
        self._shards = list(self._divide(videos))
        self._processes = DecodingProcesses(limits, settings.num_processes)
        self._count, self._lock = 0, threading.Lock()
        self._described = {
            "extractor": extractor.identity(),
            "records": dataclasses.asdict(settings)
            | {"on_bad_video": None, "num_processes": None},
            "budget": dataclasses.asdict(budget),
            "videos": digest_of(videos),
            "class_names": self._plan.class_names and [*self._plan.class_names],
        }
        self._check_description()

    def _divide(self, videos: Sequence[VideoEntry]) -> Iterator[_Shard]:
        """Yields the shards of every split."""
        splits: dict[str, list[VideoEntry]] = {}
        for video in videos:
            try:
                split = self._plan.split(video.id, video.split)
                for label in video.labels:
                    self._plan.index(label)
            except ValueError as error:
                raise ValueError(f"{video.path}: {error}.") from error
            splits.setdefault(split, []).append(video)
        for split, members in sorted(splits.items()):
            count = min(self._settings.num_shards, len(members))
            borders = np.linspace(0, len(members), count + 1).astype(int)
            for index in range(count):
                path = self._directory / shard_name(split, index, count)
                some = members[borders[index] : borders[index + 1]]
                yield _Shard(path, split, some)

    def _check_description(self) -> None:
        path = self._directory / DESCRIPTION
        if not path.exists():
            for shard in self._shards:
                if shard.path.exists():
                    raise ValueError(
                        f"{shard.path} would be replaced, but no {DESCRIPTION} "
                        "says what it is made of: give another output_dir."
                    )
            return
        held, new = read_json_object(path), json.loads(self._to_json())
        for name, value in new.items():
            if held.get(name) != value:
                raise ValueError(
                    f"{self._directory} holds shards that were extracted with "
                    f"other {name}: {held.get(name)!r}, not {value!r}: give "
                    "another output_dir, or remove them."
                )

    def _to_json(self) -> str:
        return json.dumps(self._described, indent=2) + "\n"

    @property
    def num_videos(self) -> int:
        """Number of videos, bad ones too."""
        return sum(len(shard.videos) for shard in self._shards)

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
        with replace_atomically(self._directory / DESCRIPTION) as temporary:
            temporary.write_text(self._to_json())
        with self._processes:
            running = {
                shard.path: self._processes.submit(self._write, shard, observe)
                for shard in self._shards
                if not shard.path.exists()
            }
            for shard in self._shards:
                if shard.path in running:
                    running[shard.path].result()
                else:
                    self._advance(observe, len(shard.videos))
                report(shard.path, shard.path in running)
        return self._describe()

    def _advance(self, observe: Callable[[int], None], count: int) -> None:
        with self._lock:
            self._count += count
            observe(self._count)

    def _write(self, shard: _Shard, observe: Callable[[int], None]) -> None:
        """Writes a shard, behind the note on its videos."""
        counts: Counter[str] = Counter()
        bad: list[tuple[str, str, str]] = []

        def make_records() -> Iterator[bytes]:
            for video in shard.videos:
                try:
                    yield self._make_record(video, counts)
                except (BadVideoError, FileNotFoundError) as error:
                    if self._settings.on_bad_video == "stop":
                        raise
                    bad.append((video.id, video.path, str(error)))
                self._advance(observe, 1)
            with replace_atomically(shard.note) as temporary:
                temporary.write_text(json.dumps({"counts": counts, "bad": bad}))

        write_shard(shard.path, make_records())

    def _make_record(self, video: VideoEntry, counts: Counter[str]) -> bytes:
        """Returns a video's record, and counts what is in it."""
        with self._processes.open(video.path) as opened:
            num_frames = min(opened.info.num_frames, self.schema.max_frames)
            spans, numbers = None, list(range(num_frames))
            if self._select is not None:
                (spans,) = self._select([video.id.encode()], [num_frames])
                if not self._budget.averages:
                    numbers = spans[:, 0].tolist()
                    spans = np.arange(len(spans))[:, None] + [0, 1]
            features = self._extractor.features(opened, numbers)
        stored = {}
        for name, array in features.items():
            stored[name], num_clipped = self._plan.store(array)
            counts.update(clipped=num_clipped, floats=array.size)
        counts.update(videos=1, frames=len(numbers))
        labels = sorted({self._plan.index(label) for label in video.labels})
        message = to_sequence_example(video.id, labels, stored)
        if spans is not None:
            source = os.path.basename(video.path)
            keep_frames(message, spans, self._budget, source, num_frames)
        # Maps have no order of their own that lasts.
        return message.SerializeToString(deterministic=True)

    def _describe(self) -> PackedData:
        """Writes the files that describe the whole data set."""
        notes = [
            (shard, read_json_object(shard.note, _MOST_NOTED))
            for shard in self._shards
        ]
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
        if not self._settings.float_frames:
            clipped = counts["clipped"] / counts["floats"]
        packed = PackedData(
            self.schema, self._plan.class_names, num_videos, clipped
        )
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

"""Shards of k frames a video, made of whole ones file by file.

Where no more than k frames of a video are ever read, the others need not be
stored. Several threads write a file each: much of the time goes to TensorFlow's
reader, which runs without Python's lock, and a process would take seconds to
import TensorFlow.
"""

import dataclasses
import itertools
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.files import check_files, describe_files
from distill.datasets.budget_records import (
    KeptFrames,
    describe_obstacle,
    keep_frames,
    make_selector,
)
from distill.datasets.replaced_files import check_replaced, local_directory
from distill.datasets.whole_videos import read_whole_videos
from distill.models.argument_checks import check_at_least
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object

_VIDEOS_AT_ONCE = 32
# Some hundred bytes a shard.
_MOST_DESCRIBED = 100_000_000


@dataclasses.dataclass(frozen=True)
class ShardSizes:
    """What some shards hold, and what their sources did.

    Attributes:
      num_shards: Shards.
      num_videos: Videos.
      source_frames: Frames of the whole videos.
      num_frames: Frames kept.
      source_bytes: Size of the sources' files.
      num_bytes: Size of the shards' files.
    """

    num_shards: int = 0
    num_videos: int = 0
    source_frames: int = 0
    num_frames: int = 0
    source_bytes: int = 0
    num_bytes: int = 0

    def __add__(self, other: "ShardSizes") -> "ShardSizes":
        """Returns the sums."""
        pairs = zip(
            dataclasses.astuple(self), dataclasses.astuple(other), strict=True
        )
        return ShardSizes(*map(sum, pairs))

    def describe(self, seconds: float) -> str:
        """Returns a line on what was written in a time."""
        if not self.num_shards:
            return "every shard was there already"
        ratio = self.num_bytes / max(self.source_bytes, 1)
        return (
            f"{self.num_shards} shards written: {self.num_videos:,} videos, "
            f"{self.source_frames:,} frames to {self.num_frames:,}, "
            f"{self.source_bytes / 1e6:.1f} MB to {self.num_bytes / 1e6:.1f} "
            f"MB (ratio {ratio:.4f}), {self.num_videos / seconds:,.0f} videos/s"
        )


class BudgetShards:
    """The shards that some files become, one each of the same name.

    Args:
      settings: Which frames are kept.
      files: The whole videos' files.
      output_dir: Where the shards go. It holds those of one budget alone.

    Raises:
      ValueError: `output_dir` is not local or holds shards of other settings,
        two files have the same name, or files would be replaced that are read
        or that this did not write.
      BadRecordError: A file cannot be read, or all are empty.
    """

    def __init__(
        self, settings: KeptFrames, files: list[str], output_dir: str | Path
    ):
        self.settings = settings
        self.output_dir = local_directory(output_dir)
        self.description = self.output_dir / "budget_shards.json"
        self.sources = self._name_shards(files)
        check_files(files)
        self._inputs = {path.name: _identify(f) for path, f in self.sources}
        if not any(each["bytes"] for each in self._inputs.values()):
            raise BadRecordError(f"No record in {describe_files(files)}.")
        self._known = self._read_description()
        check_replaced(
            [path for path, _ in self.sources if path.exists()],
            files,
            lambda path: path.name in self._known,
            self.description,
            instead="output_dir",
        )
        self._select = make_selector(settings)

    def _name_shards(self, files):
        """Returns every shard's path and source."""
        sources: dict[str, str] = {}
        for file in files:
            name = os.path.basename(file)
            if name in sources:
                raise ValueError(
                    f"{sources[name]} and {file} have the same name, and so "
                    "would their shards: give each its own output_dir."
                )
            sources[name] = file
        return [
            (self.output_dir / name, file) for name, file in sources.items()
        ]

    def _read_description(self):
        """Returns the source of every shard that is there, by its name."""
        if not self.description.exists():
            return {}
        try:
            described = read_json_object(self.description, _MOST_DESCRIBED)
        except ValueError as error:
            raise ValueError(
                f"{self.description} describes no shards: {error}."
            ) from error
        try:
            sources, settings = described["sources"], described["settings"]
            known = {
                name: source
                for name, source in sources.items()
                if (self.output_dir / name).exists()
            }
            if known:
                self._check_same_settings(settings)
            made_of = {name: known[name]["file"] for name in known}
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.description} describes no shards: {error!r}."
            ) from error
        for name in known.keys() & self._inputs.keys():
            old, new = made_of[name], self._inputs[name]["file"]
            if old != new:
                raise ValueError(
                    f"{self.output_dir / name} was made of {old}, not of "
                    f"{new}: give another output_dir."
                )
        return known

    def _check_same_settings(self, described):
        for group, fields in self._describe_settings().items():
            for name, value in fields.items():
                if described[group][name] != value:
                    raise ValueError(
                        f"{self.output_dir} holds shards written with {group} "
                        f"{name}={described[group][name]!r}, not {value!r}: "
                        "give another output_dir or remove them."
                    )

    def _describe_settings(self) -> dict[str, Any]:
        """Returns the settings as JSON gives them back."""
        return json.loads(json.dumps(dataclasses.asdict(self.settings)))

    def write(
        self, report: Callable[[Path, bool], None], num_workers: int
    ) -> ShardSizes:
        """Writes the shards, each whole or not at all.

        Shards that the same settings made of files of the same names and
        sizes are kept.

        Args:
          report: Is told every shard's path and whether it was written now.
          num_workers: Files that are read at once.

        Returns:
          The sizes of what was written.

        Raises:
          BadRecordError: A record or file is bad.
        """
        check_at_least(1, num_workers=num_workers)
        self._forget_changed()
        missing = [each for each in self.sources if not each[0].exists()]
        stopped, sizes = threading.Event(), ShardSizes()
        with ThreadPoolExecutor(num_workers) as pool:
            try:
                written = {
                    path: pool.submit(self._write_shard, path, file, stopped)
                    for path, file in missing
                }
                for path, _ in self.sources:
                    if path in written:
                        sizes += written[path].result()
                    report(path, path in written)
            finally:
                stopped.set()
                pool.shutdown(cancel_futures=True)
        return sizes

    def _forget_changed(self):
        """Removes the shards of files that have changed; notes all sources."""
        for path, _ in self.sources:
            if self._known.get(path.name) != self._inputs[path.name]:
                path.unlink(missing_ok=True)
        self._known |= self._inputs
        described = {
            "settings": self._describe_settings(),
            "sources": dict(sorted(self._known.items())),
        }
        with replace_atomically(self.description) as temporary:
            temporary.write_text(json.dumps(described, indent=2) + "\n")

    def _write_shard(self, path, file, stopped):
        """Writes one shard and returns its sizes."""
        num_videos = source_frames = num_frames = 0
        try:
            with (
                replace_atomically(path) as temporary,
                tf.io.TFRecordWriter(str(temporary)) as writer,
            ):
                for video, positions in self._cut_videos(file):
                    if stopped.is_set():
                        raise CancelledError
                    message = video.message
                    writer.write(message.SerializeToString(deterministic=True))
                    num_videos += 1
                    source_frames += video.num_frames
                    num_frames += len(positions)
        except tf.errors.OpError as error:
            raise OSError(
                f"{path} cannot be written: {error.message}."
            ) from error
        return ShardSizes(
            num_shards=1,
            num_videos=num_videos,
            source_frames=source_frames,
            num_frames=num_frames,
            source_bytes=self._inputs[path.name]["bytes"],
            num_bytes=path.stat().st_size,
        )

    def _cut_videos(self, file):
        """Yields a file's videos without the other frames, and positions."""
        schema, budget = self.settings.schema, self.settings.budget
        source = os.path.basename(file)
        videos = read_whole_videos(file, schema, need_labels=False)
        while batch := list(itertools.islice(videos, _VIDEOS_AT_ONCE)):
            ids = [
                video.message.context.feature[schema.id_key].bytes_list.value[0]
                for video in batch
            ]
            lengths = [video.num_frames for video in batch]
            chosen = self._select(ids, lengths)
            for video, positions in zip(batch, chosen, strict=True):
                problem = describe_obstacle(video.message, video.num_frames)
                if problem:
                    raise BadRecordError(
                        f"{file}, record {video.record_number}: {problem}."
                    )
                keep_frames(video.message, positions, budget, source)
                yield video, positions


def _identify(file: str) -> dict[str, Any]:
    """Returns a file's full name and its size."""
    name = file if "://" in file else os.path.abspath(file)
    return {"file": name, "bytes": tf.io.gfile.stat(file).length}

"""Shards that hold only the frames of a budget, made of whole videos.

Where no more than k frames of a video are ever read, the others need not be
stored. The frames are those that `distill.data.pipeline.VideoReader` selects
of whole videos at the same budget and `max_frames`, after the cut to
`max_frames`. Those of random_k are the ones that evaluation draws. Means of
bytes are rounded to bytes. Everything else in a record stays as it is.
A budget of all frames only changes the form of the records.

Several threads write a file each: most of the time goes to TensorFlow's
reader, which runs without Python's lock, and a process would take seconds to
import TensorFlow.
"""

import collections
import dataclasses
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.files import check_files, describe_files
from distill.data.frame_draws import EVALUATION_KEY, draw_for_videos
from distill.data.kept_frames import BUDGET_KEY
from distill.datasets.shards import (
    WholeVideo,
    check_replaced,
    read_whole_videos,
    serialize_record,
    write_shard,
)
from distill.models.argument_checks import check_at_least
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import frame_spans
from distill.models.options import check_options
from distill.settings.schema import DataSchema, record_form_option
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object
from distill.system.storage import to_path
from distill.system.typed_json import read_dataclass

# Keys of a record with a budget's frames: the name of the file it was made of
# and the whole video's number of frames.
FILE_KEY = "source_file"
NUM_FRAMES_KEY = "source_frames"
_VIDEOS_AT_ONCE = 32
# Some hundred bytes per shard.
_MOST_DESCRIBED = 100_000_000


@dataclasses.dataclass(frozen=True)
class KeptFrames:
    """The budget whose frames are kept of videos of a layout.

    `record_form` is that of the shards; None: of each record as it was.
    """

    schema: DataSchema
    budget: FrameBudget
    record_form: str | None = record_form_option(None)

    def __post_init__(self) -> None:
        """Checks the fields against each other."""
        schema, budget = self.schema, self.budget
        schema.check_rewritable((BUDGET_KEY, FILE_KEY, NUM_FRAMES_KEY))
        check_options(self)
        if budget.keeps_all and self.record_form is None:
            raise ValueError(
                "every_n=1 keeps every frame: give frame_budget, or an "
                "every_n of 2 or more. Or a record_form, to change the form "
                "of whole videos."
            )
        if budget.attends:
            raise ValueError(
                "segment_attention weighs frames as its network has learned: a "
                "shard would fit that network alone. segment_means can be "
                "stored."
            )
        if budget != budget.at_evaluation():
            raise ValueError(
                "random_offset and fewest_frames take other frames in every "
                "epoch; a shard holds the same frames for all epochs."
            )
        budget.width(schema.max_frames)


def make_selector(
    settings: KeptFrames,
) -> Callable[[list[bytes], list[int]], list[np.ndarray]]:
    """Returns a function that selects frames; threads may share it.

    It takes videos' ids and numbers of frames, and returns for each video ints
    `[entries, 2]` in time order: the first frame of an entry and the one after
    its last. An entry is a frame, or the mean of several.
    """
    budget, most = settings.budget, settings.schema.max_frames

    def select(ids, num_frames):
        draws = draw_for_videos(ids, budget.num_draws(most), EVALUATION_KEY)
        starts, ends, kept = frame_spans(
            tf.minimum(num_frames, most), budget, most, draws
        )
        return tf.stack([starts, ends], axis=2), kept

    compiled = tf.function(select, autograph=False).get_concrete_function(
        tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32)
    )

    def select_spans(ids, num_frames):
        spans, kept = compiled(tf.constant(ids), tf.constant(num_frames))
        pairs = zip(spans.numpy(), kept.numpy(), strict=True)
        return [row[:count] for row, count in pairs]

    return select_spans


def describe_obstacle(
    message: tf.train.SequenceExample, num_frames: int, settings: KeptFrames
) -> str | None:
    """Says why frames of a good record cannot be removed; None if they can."""
    for key in (FILE_KEY, NUM_FRAMES_KEY):
        if key in message.context.feature:
            return f"it has the key {key!r}, under which its source is noted"
    for name, entries in message.feature_lists.feature_list.items():
        count = len(entries.feature)
        if count not in (0, num_frames):
            return (
                f"the feature list {name!r} has {count} entries and the video "
                f"{num_frames} frames, so which entries to keep is unknown"
            )
        features = settings.schema.feature_names
        if count and settings.budget.averages and name not in features:
            return (
                f"the feature list {name!r} is none of the features "
                f"{list(features)}, whose means are kept"
            )
    return None


def keep_frames(
    message: tf.train.SequenceExample,
    spans: np.ndarray,
    budget: FrameBudget,
    source: str,
    num_frames: int,
) -> None:
    """Leaves a budget's frames, or means, in a record; notes their source.

    `describe_obstacle` has returned None for it. `spans` `[entries, 2]` are
    the record's frames of each entry that stays, `num_frames` those of the
    whole video.
    """
    lists = message.feature_lists.feature_list
    for entries in lists.values():
        if entries.feature:
            kept = [average_frames(entries.feature[a:b]) for a, b in spans]
            entries.CopyFrom(tf.train.FeatureList(feature=kept))
    context = message.context.feature
    context[BUDGET_KEY].bytes_list.value[:] = [budget.name.encode()]
    context[FILE_KEY].bytes_list.value.append(source.encode())
    context[NUM_FRAMES_KEY].int64_list.value.append(num_frames)


def average_frames(frames: Sequence[tf.train.Feature]) -> tf.train.Feature:
    """Returns the mean of stored frames, of bytes rounded to bytes."""
    first = frames[0]
    if len(frames) == 1:
        return first
    if first.HasField("float_list"):
        values = [frame.float_list.value for frame in frames]
        mean = np.mean(values, axis=0, dtype=np.float32)
        return tf.train.Feature(float_list={"value": mean})
    rows = [np.frombuffer(f.bytes_list.value[0], np.uint8) for f in frames]
    mean = np.rint(np.mean(rows, axis=0)).astype(np.uint8)
    return tf.train.Feature(bytes_list={"value": [mean.tobytes()]})


def describe_sizes(sizes: collections.Counter[str], seconds: float) -> str:
    """Returns a line on shards that `BudgetShards.write` wrote in some time."""
    if not sizes["shards"]:
        return "every shard was there already"
    source_bytes, num_bytes = sizes["source_bytes"], sizes["bytes"]
    return (
        f"{sizes['shards']} shards written: {sizes['videos']:,} videos, "
        f"{sizes['source_frames']:,} frames to {sizes['frames']:,}, "
        f"{source_bytes / 1e6:.1f} MB to {num_bytes / 1e6:.1f} MB (ratio "
        f"{num_bytes / max(source_bytes, 1):.4f}), "
        f"{sizes['videos'] / seconds:,.0f} videos/s"
    )


class BudgetShards:
    """The shards that some files become, one of the same name for each.

    Args:
      settings: The frames that are kept.
      files: The whole videos' files.
      output_dir: Where the shards go; it holds shards of one budget only.

    Raises:
      ValueError: `output_dir` holds shards of other settings,
        two files have the same name, or files would be replaced that are read
        or that this did not write.
      BadRecordError: A file cannot be read, or all are empty.
    """

    def __init__(
        self, settings: KeptFrames, files: list[str], output_dir: str | Path
    ) -> None:
        self.settings = settings
        self.output_dir = to_path(output_dir)
        self.description = self.output_dir / "budget_shards.json"
        self.sources: dict[Path, str] = {}
        for file in files:
            path = self.output_dir / os.path.basename(file)
            if path in self.sources:
                raise ValueError(
                    f"{self.sources[path]} and {file} have the same name, and "
                    "so would their shards: give each its own output_dir."
                )
            self.sources[path] = file
        check_files(files)
        self._inputs = {
            path.name: _identify(file) for path, file in self.sources.items()
        }
        if not any(each["bytes"] for each in self._inputs.values()):
            raise BadRecordError(f"No record in {describe_files(files)}.")
        self._described = _flatten(settings)
        self._known = self._read_description()
        check_replaced(
            [path for path in self.sources if path.exists()],
            files,
            lambda path: path.name in self._known,
            self.description,
            instead="output_dir",
        )
        self._select = make_selector(settings)

    def _read_description(self) -> dict[str, dict[str, Any]]:
        """Returns the source of every existing shard, by the shard's name."""
        if not self.description.exists():
            return {}
        try:
            described = read_json_object(self.description, _MOST_DESCRIBED)
            known = {
                name: source
                for name, source in described["sources"].items()
                if (self.output_dir / name).exists()
            }
            held = _flatten(read_dataclass(KeptFrames, described["settings"]))
            settings = {
                name: (held[name], value)
                for name, value in self._described.items()
            }
            made_of = {name: source["file"] for name, source in known.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.description} describes no shards: {error!r}."
            ) from error
        for name, (old, new) in settings.items():
            if known and old != new:
                raise ValueError(
                    f"{self.output_dir} holds shards written with "
                    f"{name}={old!r}, not {new!r}: give another output_dir "
                    "or remove them."
                )
        for name in known.keys() & self._inputs.keys():
            new = self._inputs[name]["file"]
            if made_of[name] != new:
                raise ValueError(
                    f"{self.output_dir / name} was made of {made_of[name]}, "
                    f"not of {new}: give another output_dir."
                )
        return known

    def write(
        self, report: Callable[[Path, bool], None], num_workers: int
    ) -> collections.Counter[str]:
        """Writes the shards, each whole or not at all.

        Existing shards are kept if their sources have the same names and
        sizes as when they were written.

        Args:
          report: Called with every shard's path and whether it was written
            now.
          num_workers: Files that are read at once.

        Returns:
          Counts of what was written: `shards`, `videos`, `frames` and `bytes`;
          `source_frames` and `source_bytes` of the whole videos.

        Raises:
          BadRecordError: A record or file is bad.
        """
        check_at_least(1, num_workers=num_workers)
        self._forget_changed()
        stopped = threading.Event()
        sizes: collections.Counter[str] = collections.Counter()
        with ThreadPoolExecutor(num_workers) as pool:
            try:
                written = {
                    path: pool.submit(self._write_shard, path, file, stopped)
                    for path, file in self.sources.items()
                    if not path.exists()
                }
                for path in self.sources:
                    if path in written:
                        sizes += written[path].result()
                    report(path, path in written)
            finally:
                stopped.set()
                pool.shutdown(cancel_futures=True)
        return sizes

    def _forget_changed(self) -> None:
        for path in self.sources:
            if self._known.get(path.name) != self._inputs[path.name]:
                path.unlink(missing_ok=True)
        self._known |= self._inputs
        described = {
            "settings": dataclasses.asdict(self.settings),
            "sources": dict(sorted(self._known.items())),
        }
        with replace_atomically(self.description) as temporary:
            temporary.write_text(json.dumps(described, indent=2) + "\n")

    def _write_shard(
        self, path: Path, file: str, stopped: threading.Event
    ) -> collections.Counter[str]:
        sizes = collections.Counter(shards=1)

        def make_records():
            for video, num_frames in self._cut_videos(file):
                if stopped.is_set():
                    raise CancelledError
                sizes.update(
                    videos=1,
                    source_frames=video.num_frames,
                    frames=num_frames,
                )
                yield self._serialize(video, file)

        write_shard(path, make_records())
        sizes["source_bytes"] = self._inputs[path.name]["bytes"]
        sizes["bytes"] = path.stat().st_size
        return sizes

    def _serialize(self, video: WholeVideo, file: str) -> bytes:
        form = self.settings.record_form or video.record_form
        try:
            return serialize_record(
                video.message, form, self.settings.schema.feature_names
            )
        except ValueError as error:
            raise BadRecordError(
                f"{file}, record {video.record_number}: {error}."
            ) from error

    def _cut_videos(self, file: str) -> Iterator[tuple[WholeVideo, int]]:
        """Yields a file's videos without the other frames, and their number."""
        schema, budget = self.settings.schema, self.settings.budget
        source = os.path.basename(file)
        videos = read_whole_videos(file, schema, need_labels=False)
        if budget.keeps_all:
            yield from ((video, video.num_frames) for video in videos)
            return
        while batch := list(itertools.islice(videos, _VIDEOS_AT_ONCE)):
            ids = [
                video.message.context.feature[schema.id_key].bytes_list.value[0]
                for video in batch
            ]
            lengths = [video.num_frames for video in batch]
            chosen = self._select(ids, lengths)
            for video, spans in zip(batch, chosen, strict=True):
                problem = describe_obstacle(
                    video.message, video.num_frames, self.settings
                )
                if problem:
                    raise BadRecordError(
                        f"{file}, record {video.record_number}: {problem}."
                    )
                keep_frames(
                    video.message, spans, budget, source, video.num_frames
                )
                yield video, len(spans)


def _flatten(settings: KeptFrames) -> dict[str, Any]:
    """Returns all fields, as they are read back from JSON, by their names."""
    fields = json.loads(json.dumps(dataclasses.asdict(settings)))
    form = {"record_form": fields.pop("record_form")}
    return form | {
        f"{group} {name}": value
        for group, values in fields.items()
        for name, value in values.items()
    }


def _identify(file: str) -> dict[str, Any]:
    name = file if "://" in file else os.path.abspath(file)
    return {"file": name, "bytes": tf.io.gfile.stat(file).length}

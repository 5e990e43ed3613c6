"""Arrays of features, packed into records that training reads.

A data set is a directory: shards of each split, the names of the classes if
the labels are names, and a flagfile that describes the records. It is written
under a temporary name and renamed at the end, so it is whole or not there.
"""

import contextlib
import dataclasses
import functools
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from distill.datasets.array_videos import (
    ArrayFindings,
    ArrayVideo,
    check_videos,
    is_number,
    named_error,
)
from distill.datasets.shards import (
    shard_name,
    to_sequence_example,
)
from distill.models.options import flag_name
from distill.models.quantisation import quantize
from distill.settings.class_names import CLASS_NAMES, write_class_names
from distill.settings.pack import PackSettings
from distill.settings.schema import DataSchema, check_quantisation_range
from distill.system.atomic_files import replace_directory
from distill.system.storage import UPLOADING, to_path

DATASET_FLAGS = "dataset.cfg"
_OWN_FILES = re.compile(
    rf".+-\d{{5}}-of-\d{{5}}\.tfrecord|{CLASS_NAMES}|{DATASET_FLAGS}"
)
# A comma separates patterns; the others have a meaning in a glob.
_NOT_IN_PATTERNS = re.compile(r"[,*?\[\]\\\n]")


@dataclasses.dataclass(frozen=True)
class PackedData:
    """A packed data set.

    Attributes:
      schema: The layout of its records.
      class_names: The name of every class; None where labels are numbers.
      num_videos: Number of videos of each split.
      clipped: Share of the floats that lay outside the quantisation range;
        None where no float was quantised.
    """

    schema: DataSchema
    class_names: tuple[str, ...] | None
    num_videos: Counter[str]
    clipped: float | None

    def describe(self) -> list[str]:
        """Returns lines on the videos, the features and the quantisation."""
        schema = self.schema
        counts = [f"{n:,} {split}" for split, n in self.num_videos.items()]
        sizes = zip(schema.feature_names, schema.feature_sizes, strict=True)
        widths = ", ".join(f"{name} {size}" for name, size in sizes)
        lines = [
            f"{self.num_videos.total():,} videos ({', '.join(sorted(counts))}) "
            f"of {widths}, {schema.num_classes} classes"
        ]
        if schema.float_frames:
            lines.append("floats are kept as float32")
        elif self.clipped is not None:
            least, most = schema.quantisation_range
            lines.append(
                f"8-bit values from {least:g} to {most:g}; "
                f"{self.clipped:.4%} of the numbers lay outside and were "
                "clipped"
            )
        return lines


def write_records(
    videos: Iterable[ArrayVideo | tuple],
    output_dir: str | Path,
    settings: PackSettings | None = None,
    class_names: Sequence[str] | None = None,
    observe: Callable[[int], None] = lambda count: None,
) -> PackedData:
    """Writes videos as TFRecord shards, with the flags that describe them.

    `output_dir` then holds `SPLIT-*.tfrecord`, `dataset.cfg` (a flagfile) and,
    where labels are names, `class_names.csv`. An earlier data set there is
    replaced.

    Args:
      videos: `(id, {name: numbers [frames, size]}, labels)` for each video, or
        an `ArrayVideo`. They are iterated twice, unless the classes are given
        (`class_names` or `num_classes`) and the range is fixed.
      output_dir: A directory.
      settings: Quantisation, splits and shards; None for the defaults.
      class_names: The name of every class; None to sort the names found.
      observe: Called with the number of videos written so far.

    Raises:
      ValueError: A video has a wrong form or two videos have one id; the
        message names the video. Nothing is written.
    """
    settings = settings or PackSettings()
    directory = to_path(output_dir).absolute()
    _check_directory(directory)
    plan = _make_plan(videos, settings, class_names)
    found = ArrayFindings(settings)
    with replace_directory(directory, DATASET_FLAGS) as folder:
        with contextlib.ExitStack() as stack:
            shards = _Shards(plan, folder, stack)
            for count, video in enumerate(check_videos(videos, found), start=1):
                try:
                    shards.add(video)
                except ValueError as error:
                    raise named_error(video, error) from error
                observe(count)
        if not shards.num_videos:
            raise ValueError("There is no video to pack.")
        clipped = None
        if found.num_floats and not settings.float_frames:
            clipped = shards.num_clipped / found.num_floats
        packed = PackedData(
            plan.schema(found), plan.class_names, shards.num_videos, clipped
        )
        for split in ("train", "validate"):
            if settings.validate_fraction and not packed.num_videos[split]:
                raise ValueError(
                    f"validate_fraction={settings.validate_fraction} leaves no "
                    f"video of {packed.num_videos.total()} for {split}."
                )
        if plan.class_names is not None:
            write_class_names(folder / CLASS_NAMES, plan.class_names)
        text = "".join(f"{line}\n" for line in _flag_lines(packed, directory))
        (folder / DATASET_FLAGS).write_text(text, encoding="utf-8")
    return packed


def _check_directory(directory: Path) -> None:
    """Refuses a path that patterns cannot name, and a folder of other files."""
    if _NOT_IN_PATTERNS.search(str(directory)):
        raise ValueError(
            "output_dir must not hold a comma or one of *?[]\\, got "
            f"{directory}."
        )
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if not _OWN_FILES.fullmatch(path.name) and path.name != UPLOADING:
            raise ValueError(
                f"{directory} would be replaced, but holds {path.name}, which "
                "is not of a packed data set: give another output_dir."
            )


@dataclasses.dataclass(frozen=True)
class _Plan:
    """The decisions that hold for every video."""

    settings: PackSettings
    num_classes: int
    class_names: tuple[str, ...] | None
    value_range: tuple[float, float]

    @functools.cached_property
    def _indexes(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.class_names or ())}

    def index(self, label: int | str) -> int:
        """Returns the index of a class by its index or name."""
        if label in self._indexes:
            return self._indexes[str(label)]
        if not is_number(label):
            known = f"the {self.num_classes} class names"
            if self.class_names is None:
                known = "numbers; class_names would name the classes"
            raise ValueError(f"label {label!r} is not among {known}")
        index = int(label)
        if not 0 <= index < self.num_classes:
            raise ValueError(
                f"label {index} is outside the {self.num_classes} classes (0 "
                f"to {self.num_classes - 1})"
            )
        return index

    def split(self, video: ArrayVideo) -> str:
        """Returns the split of a video: its own, or one by its id's hash."""
        fraction = self.settings.validate_fraction
        if video.split and fraction:
            raise ValueError(
                f"it has the split {video.split!r}: give splits or "
                "validate_fraction, not both"
            )
        if video.split and not re.fullmatch("[A-Za-z0-9_]+", video.split):
            raise ValueError(
                "a split must be made of letters, digits and _, got "
                f"{video.split!r}"
            )
        digest = hashlib.sha256(video.id.encode()).digest()
        is_held_out = int.from_bytes(digest[:8]) < fraction * 2**64
        return video.split or ("validate" if is_held_out else "train")

    def schema(self, found: ArrayFindings) -> DataSchema:
        """Returns the layout of the records."""
        least, most = self.value_range
        return DataSchema(
            frame_features=True,
            feature_names=found.names,
            feature_sizes=found.feature_sizes,
            id_key="id",
            labels_key="labels",
            num_classes=self.num_classes,
            max_frames=self.settings.max_frames or found.max_frames,
            float_frames=self.settings.float_frames,
            quantisation_min=least,
            quantisation_max=most,
        )


def _make_plan(
    videos: Iterable[ArrayVideo | tuple],
    settings: PackSettings,
    class_names: Sequence[str] | None,
) -> _Plan:
    """Returns the classes and the range, from a first pass if it has to."""
    names = None if class_names is None else tuple(class_names)
    num_classes = settings.num_classes
    if names is not None:
        if len(set(names)) != len(names) or num_classes not in (
            None,
            len(names),
        ):
            raise ValueError(
                f"class_names must be {num_classes or 'all'} different names, "
                f"got {len(names)}, {len(set(names))} of them different."
            )
        num_classes = len(names)
    value_range = settings.quantisation_min, settings.quantisation_max
    is_auto = settings.quantisation_range == "auto"
    if num_classes is None or is_auto:
        found = _survey(videos, settings)
        if num_classes is None:
            names, num_classes = found.classes()
        if is_auto:
            value_range = found.least, found.greatest
            if not found.num_floats:
                raise ValueError(
                    "quantisation_range=auto needs floats; the arrays hold "
                    "whole numbers, which are taken for bytes."
                )
            check_quantisation_range(*value_range)
    return _Plan(settings, num_classes, names, value_range)


def _survey(
    videos: Iterable[ArrayVideo | tuple], settings: PackSettings
) -> ArrayFindings:
    if iter(videos) is videos:
        raise ValueError(
            "videos can be iterated once only: give class_names or num_classes "
            "and a fixed quantisation_range, or a list of videos."
        )
    found = ArrayFindings(settings)
    for _ in check_videos(videos, found):
        pass
    return found


class _Shards:
    """The shards of every split, open to be written in turn.

    Attributes:
      num_videos: Number of videos of each split.
      num_clipped: Number of floats outside the quantisation range.
    """

    def __init__(self, plan: _Plan, folder: Path, stack: contextlib.ExitStack):
        self._plan, self._folder, self._stack = plan, folder, stack
        self._writers: dict[str, list[Any]] = {}
        self.num_videos: Counter[str] = Counter()
        self.num_clipped = 0

    def add(self, video: ArrayVideo) -> None:
        """Writes a checked video to the next shard of its split."""
        labels = sorted({self._plan.index(label) for label in video.labels})
        features = {
            name: self._store(array) for name, array in video.features.items()
        }
        split, count = self._plan.split(video), self._plan.settings.num_shards
        if split not in self._writers:
            paths = [
                self._folder / shard_name(split, index, count)
                for index in range(count)
            ]
            self._writers[split] = [
                self._stack.enter_context(tf.io.TFRecordWriter(str(path)))
                for path in paths
            ]
        record = to_sequence_example(video.id, labels, features)
        # Maps have no order of their own that lasts.
        self._writers[split][self.num_videos[split] % count].write(
            record.SerializeToString(deterministic=True)
        )
        self.num_videos[split] += 1

    def _store(self, array: np.ndarray) -> np.ndarray:
        """Returns uint8, or float32 where floats are kept."""
        if self._plan.settings.float_frames:
            return array
        if array.dtype.kind != "f":
            return array.astype(np.uint8)
        least, most = self._plan.value_range
        self.num_clipped += int(np.sum((array < least) | (array > most)))
        return quantize(array, least, most)


def _flag_lines(packed: PackedData, directory: Path) -> list[str]:
    """Returns the lines of the flagfile that describes the data set."""
    counts = [f"{n} {split}" for split, n in sorted(packed.num_videos.items())]
    lines = [f"# Videos packed by `distill pack`: {', '.join(counts)}."]
    for field in dataclasses.fields(packed.schema):
        value = getattr(packed.schema, field.name)
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        elif isinstance(value, bool):
            value = str(value).lower()
        lines.append(f"--{flag_name(field)}={value}")
    flags = {"train": "train_data_pattern", "validate": "eval_data_pattern"}
    for split, flag in flags.items():
        if packed.num_videos[split]:
            lines.append(f"--{flag}={directory}/{split}-*.tfrecord")
    if packed.class_names is not None:
        lines.append(f"--class_names_file={directory / CLASS_NAMES}")
    return lines

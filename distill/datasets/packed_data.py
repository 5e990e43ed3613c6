"""A packed data set: what its records hold, and the files that say so."""

import dataclasses
import functools
import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np

from distill.datasets.array_videos import is_number
from distill.models.options import flag_name
from distill.models.quantisation import quantize
from distill.settings.class_names import CLASS_NAMES, write_class_names
from distill.settings.pack import RecordSettings
from distill.settings.schema import DataSchema
from distill.system.atomic_files import replace_atomically

DATASET_FLAGS = "dataset.cfg"


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


@dataclasses.dataclass(frozen=True)
class RecordPlan:
    """The decisions that hold for every video.

    Attributes:
      settings: Quantisation and splits.
      num_classes: Number of classes.
      class_names: The name of every class; None where labels are numbers.
      value_range: Numbers that the least and the greatest byte stand for.
    """

    settings: RecordSettings
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

    def split(self, video_id: str, own: str) -> str:
        """Returns the split of a video: its own, or one by its id's hash."""
        fraction = self.settings.validate_fraction
        if own and fraction:
            raise ValueError(
                f"it has the split {own!r}: give splits or "
                "validate_fraction, not both"
            )
        if own and not re.fullmatch("[A-Za-z0-9_]+", own):
            raise ValueError(
                f"a split must be made of letters, digits and _, got {own!r}"
            )
        digest = hashlib.sha256(video_id.encode()).digest()
        is_held_out = int.from_bytes(digest[:8]) < fraction * 2**64
        return own or ("validate" if is_held_out else "train")

    def schema(
        self,
        feature_names: tuple[str, ...],
        feature_sizes: tuple[int, ...],
        max_frames: int,
    ) -> DataSchema:
        """Returns the layout of the records."""
        least, most = self.value_range
        return DataSchema(
            frame_features=True,
            feature_names=feature_names,
            feature_sizes=feature_sizes,
            id_key="id",
            labels_key="labels",
            num_classes=self.num_classes,
            max_frames=max_frames,
            float_frames=self.settings.float_frames,
            quantisation_min=least,
            quantisation_max=most,
        )

    def store(self, array: np.ndarray) -> tuple[np.ndarray, int]:
        """Returns frames as records hold them, and how many were clipped."""
        if self.settings.float_frames:
            return array, 0
        if array.dtype.kind != "f":
            return array.astype(np.uint8), 0
        least, most = self.value_range
        num_clipped = int(np.sum((array < least) | (array > most)))
        return quantize(array, least, most), num_clipped


def describe_data_set(
    packed: PackedData, folder: Path, directory: Path, verb: str
) -> None:
    """Writes the names of the classes and the flags that read the records.

    Args:
      packed: The data set.
      folder: Where the files are written.
      directory: Where the data set will lie.
      verb: The command that has made it.
    """
    if packed.class_names is not None:
        with replace_atomically(folder / CLASS_NAMES) as temporary:
            write_class_names(temporary, packed.class_names)
    lines = _flag_lines(packed, directory, verb)
    text = "".join(f"{line}\n" for line in lines)
    with replace_atomically(folder / DATASET_FLAGS) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flag_lines(packed: PackedData, directory: Path, verb: str) -> list[str]:
    """Returns the lines of the flagfile that describes the data set."""
    counts = [f"{n} {split}" for split, n in sorted(packed.num_videos.items())]
    lines = [f"# Videos packed by `distill {verb}`: {', '.join(counts)}."]
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

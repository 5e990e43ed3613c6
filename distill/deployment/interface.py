"""The inputs and outputs of a deployed network, and the check of a video."""

import csv
import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.models.frame_budget import FrameBudget
from distill.settings.schema import DataSchema
from distill.system.small_files import read_json_object, read_small_text
from distill.system.typed_json import read_dataclass

CARD = "card.json"
CLASS_NAMES = "class_names.csv"
_MAX_BYTE = 255
_LEAST, _MOST = -2.0, 2.01
_BYTES_PER_NAME = 10_000
_SHOWN = 200


@dataclasses.dataclass(frozen=True)
class VideoInterface:
    """The inputs and outputs of a deployed network.

    Attributes:
      schema: The videos' layout.
      budget: The frames that the network itself selects from a video.
      class_names: The name of every class.
    """

    schema: DataSchema
    budget: FrameBudget
    class_names: tuple[str, ...]

    def __post_init__(self):
        """Checks that every class has a name."""
        if len(self.class_names) != self.schema.num_classes:
            raise ValueError(
                f"There are {len(self.class_names)} class names for "
                f"{self.schema.num_classes} classes."
            )

    @property
    def reading_budget(self) -> FrameBudget:
        """The frames to read from records, among which the network selects.

        A budget of k frames keeps all of k frames; any other budget needs
        whole videos.
        """
        kept = self.budget.num_frames is not None
        return self.budget if kept else FrameBudget()

    def as_stored(self, video: Any) -> np.ndarray:
        """Returns a video as records hold it.

        Args:
          video: At frame level `[frames, features]`, bytes or dequantised
            floats in [-2, 2.01], which are quantised; at video level
            `[features]` floats.

        Returns:
          uint8 `[frames, features]`, or float32 `[features]`.

        Raises:
          ValueError: The video has another form, or a value is not finite.
        """
        try:
            array = np.asarray(video)
        except ValueError as error:
            raise ValueError("The video's rows differ in width.") from error
        if array.dtype.kind not in "iuf":
            raise ValueError(
                f"A video must be real numbers, got {array.dtype}."
            )
        if not np.isfinite(array).all():
            raise ValueError("The video holds a value that is NaN or infinite.")
        if not self.schema.frame_features:
            return self._check_vector(array)
        return self._check_frames(array)

    def _check_vector(self, array: np.ndarray) -> np.ndarray:
        width = self.schema.num_features
        if array.shape != (width,):
            raise ValueError(
                f"A video must be {width} numbers, got the shape {array.shape}."
            )
        return array.astype(np.float32)

    def _check_frames(self, array: np.ndarray) -> np.ndarray:
        width, most = self.schema.num_features, self.schema.max_frames
        if array.ndim != 2 or array.shape[1] != width:
            raise ValueError(
                f"A video must be [frames, {width}], got the shape "
                f"{list(array.shape)}."
            )
        if not 1 <= len(array) <= most:
            raise ValueError(
                f"A video must have 1 to {most} frames, got {len(array)}."
            )
        if np.issubdtype(array.dtype, np.floating):
            _check_range(array, _LEAST, _MOST, "Dequantised values")
            steps = (array.astype(np.float64) + 2.0) * (_MAX_BYTE / 4.0)
            array = np.clip(np.round(steps), 0, _MAX_BYTE)
        else:
            _check_range(array, 0, _MAX_BYTE, "Bytes")
        return array.astype(np.uint8)

    def to_batch(self, videos: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Returns videos from `as_stored` as one batch of inputs.

        Returns:
          Dict of `frames` uint8 `[batch, max_frames, features]`, zeros beyond
          a video's end, and `num_frames` int32 `[batch]`; or of `features`
          float32 `[batch, features]`.
        """
        if not self.schema.frame_features:
            return {"features": np.stack(videos)}
        shape = (self.schema.max_frames, self.schema.num_features)
        frames = np.zeros((len(videos), *shape), np.uint8)
        for row, video in zip(frames, videos, strict=True):
            row[: len(video)] = video
        lengths = [len(video) for video in videos]
        return {"frames": frames, "num_frames": np.array(lengths, np.int32)}

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of a card; class names have their own file."""
        return {
            "schema": dataclasses.asdict(self.schema),
            "budget": dataclasses.asdict(self.budget),
        }


def _check_range(
    array: np.ndarray, least: float, most: float, kind: str
) -> None:
    if array.min() < least or array.max() > most:
        raise ValueError(
            f"{kind} must be from {least} to {most}, got {array.min()} to "
            f"{array.max()}."
        )


def read_class_names(file: str | Path, num_classes: int) -> tuple[str, ...]:
    """Reads the names of the classes from a CSV file.

    Args:
      file: A header, then a line a class: its index in the first column, its
        name in the last.
      num_classes: Number of classes.

    Raises:
      ValueError: A line has another form, or a class has no name or two.
    """
    try:
        text = read_small_text(file, _BYTES_PER_NAME * (num_classes + 1))
    except ValueError as error:
        raise ValueError(f"{file} holds no class names: {error}.") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    names: dict[int, str] = {}
    try:
        next(reader, None)
        for row in reader:
            if len(row) < 2 or not re.fullmatch("[0-9]{1,9}", row[0]):
                raise ValueError(f"{str(row)[:_SHOWN]} is not INDEX,...,NAME")
            index = int(row[0])
            if index >= num_classes or index in names:
                raise ValueError(
                    f"class {index} has a name already, or is not among the "
                    f"{num_classes} classes"
                )
            names[index] = row[-1]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{file}, line {reader.line_num}: {error}.") from error
    missing = [index for index in range(num_classes) if index not in names]
    if missing:
        raise ValueError(
            f"{file} names {len(names)} of {num_classes} classes; class "
            f"{missing[0]} has no name."
        )
    return tuple(names[index] for index in range(num_classes))


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Writes a CSV file that `read_class_names` reads."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("index", "name"))
        writer.writerows(enumerate(names))


def numbered_classes(num_classes: int) -> tuple[str, ...]:
    """Returns the classes' indexes as their names."""
    return tuple(map(str, range(num_classes)))


def read_card(directory: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Returns the card of an export directory.

    Args:
      directory: The export.
      parts: Keys of the objects that it must hold.

    Raises:
      ValueError: There is no card, or it is damaged.
    """
    try:
        fields = read_json_object(directory / CARD)
    except FileNotFoundError as error:
        raise _missing_file(error) from error
    except ValueError as error:
        raise _bad_card(directory, error) from error
    for part in parts:
        if not isinstance(fields.get(part), dict):
            raise _bad_card(directory, f"no {part!r}")
    return fields


def read_interface(directory: Path) -> VideoInterface:
    """Returns the interface that the card of an export directory describes.

    Raises:
      ValueError: There is no card, or it is damaged.
    """
    fields = read_card(directory, ["interface"])["interface"]
    try:
        schema, budget = (
            read_dataclass(kind, fields.get(key), f"interface.{key}")
            for key, kind in (("schema", DataSchema), ("budget", FrameBudget))
        )
    except ValueError as error:
        raise _bad_card(directory, error) from error
    try:
        names = read_class_names(directory / CLASS_NAMES, schema.num_classes)
    except FileNotFoundError as error:
        raise _missing_file(error) from error
    return VideoInterface(schema, budget, names)


def _bad_card(directory: Path, reason: object) -> ValueError:
    return ValueError(f"{directory / CARD} is not an export's card: {reason}.")


def _missing_file(error: FileNotFoundError) -> ValueError:
    return ValueError(
        f"There is no {error.filename}: an artifact needs the {CARD} and "
        f"{CLASS_NAMES} that distill export wrote beside it."
    )

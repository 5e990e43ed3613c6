"""The inputs and outputs of a deployed network, and the check of a video."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.models.frame_budget import FrameBudget
from distill.models.quantisation import MAX_BYTE, quantize
from distill.settings.class_names import CLASS_NAMES, read_class_names
from distill.settings.schema import DataSchema
from distill.system.small_files import read_json_object
from distill.system.typed_json import read_dataclass

CARD = "card.json"
EXAMPLE = "example.npz"
# Values outside the range are clipped, as `distill pack` does. A video with
# this share of them has another scale.
_REFUSED_SHARE = 0.5
# Of a video: a day at one frame a second, of 2,000 features, has fewer.
_MOST_VALUES = 2**28


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

        A budget of k frames keeps all of k frames; any other budget, of means
        too, needs whole videos.
        """
        budget = self.budget
        keeps = budget.num_frames is not None and not budget.averages
        return budget if keeps else FrameBudget()

    def as_stored(self, video: Any) -> np.ndarray:
        """Returns a video as records hold it.

        Args:
          video: At frame level `[frames, features]`: bytes, or floats, which
            are quantised as the data was; floats in any range where the data
            holds floats. At video level `[features]` floats.

        Returns:
          uint8 `[frames, features]`, float32 where the data holds floats; or
          float32 `[features]`. Frames at or beyond `max_frames` are cut off, as
          in training; a segment must be whole.

        Raises:
          ValueError: The video has another form, a value is not finite, or
            half of the values or more lie outside the quantisation range.
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
        return _to_float32(array)

    def _check_frames(self, array: np.ndarray) -> np.ndarray:
        width, most = self.schema.num_features, self.schema.max_frames
        if array.ndim != 2 or array.shape[1] != width:
            raise ValueError(
                f"A video must be [frames, {width}], got the shape "
                f"{list(array.shape)}."
            )
        if not len(array):
            raise ValueError("A video must have 1 frame or more, got 0.")
        if self.schema.segment_labels and len(array) > most:
            raise ValueError(
                f"A segment has at most {most} frames, got {len(array)}."
            )
        array = array[:most]
        if self.schema.frame_type == "float32":
            return _to_float32(array)
        if not np.issubdtype(array.dtype, np.floating):
            if array.min() < 0 or array.max() > MAX_BYTE:
                raise _outside_range(array, 0, MAX_BYTE, "Bytes")
            return array.astype(np.uint8)
        least, greatest = self.schema.quantisation_range
        # Dequantised bytes exceed the range by half a step.
        beyond = greatest + 0.0025 * (greatest - least)
        if np.mean((array < least) | (array > beyond)) >= _REFUSED_SHARE:
            raise _outside_range(array, least, beyond, "Dequantised values")
        return quantize(array, least, greatest)

    def to_batch(self, videos: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Returns videos from `as_stored` as one batch of inputs.

        Returns:
          Dict of `frames` uint8 or float32 `[batch, max_frames, features]`,
          zeros beyond a video's end, and `num_frames` int32 `[batch]`; or of
          `features` float32 `[batch, features]`.
        """
        if not self.schema.frame_features:
            return {"features": np.stack(videos)}
        shape = (self.schema.max_frames, self.schema.num_features)
        frames = np.zeros((len(videos), *shape), self.schema.frame_type)
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


def _to_float32(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise ValueError("The video holds a value beyond float32.")
    return floats


def _outside_range(
    array: np.ndarray, least: float, most: float, kind: str
) -> ValueError:
    return ValueError(
        f"{kind} must be from {least} to {most}, got {array.min()} to "
        f"{array.max()}."
    )


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
        raise bad_card(directory, error) from error
    for part in parts:
        if not isinstance(fields.get(part), dict):
            raise bad_card(directory, f"no {part!r}")
    return fields


def artifact_rows(
    directory: Path, card: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Returns a card's rows of the artifacts, by their names.

    Raises:
      ValueError: The artifacts are not files beside the card.
    """
    try:
        rows = {row["path"]: row for row in card["artifacts"]}
        are_files = all(name == Path(name).name for name in rows)
    except (KeyError, TypeError):
        are_files = False
    if not are_files:
        raise bad_card(directory, "its artifacts are not files beside it")
    return rows


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
        if max(schema.max_frames, 1) * schema.num_features > _MOST_VALUES:
            raise ValueError(
                f"a video of {schema.max_frames} frames of "
                f"{schema.num_features} features is too large"
            )
    except ValueError as error:
        raise bad_card(directory, error) from error
    try:
        names = read_class_names(directory / CLASS_NAMES, schema.num_classes)
    except FileNotFoundError as error:
        raise _missing_file(error) from error
    return VideoInterface(schema, budget, names)


def bad_card(directory: Path, reason: object) -> ValueError:
    """Returns the error that says why an export's card cannot be used."""
    return ValueError(f"{directory / CARD} is not an export's card: {reason}.")


def _missing_file(error: FileNotFoundError) -> ValueError:
    return ValueError(
        f"There is no {error.filename}: an artifact needs the {CARD} and "
        f"{CLASS_NAMES} that distill export wrote beside it."
    )

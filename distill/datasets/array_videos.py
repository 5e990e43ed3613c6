"""Videos as arrays, and their check before they become records."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from distill.models.quantisation import MAX_BYTE
from distill.settings.pack import PackSettings


class ArrayVideo(NamedTuple):
    """A video as arrays.

    Attributes:
      id: Its id, which no other video has.
      features: By name, numbers `[frames, size]`, of one length. Floats are
        quantised to 8 bits or kept; whole numbers are bytes, 0 to 255.
      labels: A class index or name, or several of them.
      split: Its split; empty: `train` or, by `validate_fraction`, `validate`.
      place: Where it was read, for errors.
    """

    id: str
    features: Mapping[str, Any]
    labels: Any
    split: str = ""
    place: str = ""


class ArrayFindings:
    """Facts on the videos of a pass; refuses one that does not fit them.

    Attributes:
      names: The features, in their order.
      max_frames: Frames of the longest video.
      num_floats: Number of floats, those of all frames together.
      least: The least float.
      greatest: The greatest float.
    """

    def __init__(self, settings: PackSettings):
        self.settings = settings
        self.names = settings.feature_names
        self.max_frames = self.num_floats = 0
        self.least, self.greatest = math.inf, -math.inf
        self._sizes: dict[str, int] = {}
        self._kinds: dict[str, str] = {}
        self._ids: set[str] = set()
        self._labels: set[int | str] = set()

    def add(self, video: ArrayVideo) -> ArrayVideo:
        """Checks a video; returns it with arrays and lists of labels."""
        if not isinstance(video.id, str) or not video.id:
            raise ValueError(f"the id {video.id!r} is not a text")
        if video.id in self._ids:
            raise ValueError(f"another video has the id {video.id!r}")
        self._ids.add(video.id)
        labels = _list_labels(video.labels)
        self._labels.update(labels)
        if not self.names:
            self.names = tuple(sorted(video.features))
        self._check_names(video.features)
        arrays = {
            name: self._check_array(name, video.features[name])
            for name in self.names
        }
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(
                f"its features differ in their number of frames: {counts}"
            )
        self.max_frames = max(self.max_frames, *counts.values())
        return video._replace(features=arrays, labels=labels)

    def of_first(self) -> "ArrayFindings":
        """Returns findings of no video that accept those like these."""
        found = ArrayFindings(self.settings)
        found.names = self.names
        found._sizes, found._kinds = dict(self._sizes), dict(self._kinds)
        return found

    def to_json(self) -> dict[str, Any]:
        """Returns what `join` needs, as JSON values."""
        has_floats = self.num_floats > 0
        return {
            "max_frames": self.max_frames,
            "num_floats": self.num_floats,
            "floats": [self.least, self.greatest] if has_floats else [],
            "labels": list(self._labels),
        }

    def join(self, found: Mapping[str, Any]) -> None:
        """Adds the findings of other videos, from `to_json`."""
        self.max_frames = max(self.max_frames, found["max_frames"])
        self.num_floats += found["num_floats"]
        self.least = min([self.least, *found["floats"]])
        self.greatest = max([self.greatest, *found["floats"]])
        self._labels.update(found["labels"])

    def _check_names(self, features: Mapping[str, Any]) -> None:
        for name in self.names:
            if not name or re.search(r"[,\s]", name):
                raise ValueError(
                    f"the feature name {name!r} is empty or holds a comma or "
                    "a space"
                )
            if name not in features:
                raise ValueError(
                    f"no feature {name!r}; it has {sorted(features)} "
                    "(--feature_names)"
                )
        others = sorted(features.keys() - set(self.names))
        if others and not self.settings.feature_names:
            raise ValueError(
                f"it has the feature {others[0]!r}, which the first video "
                "lacks: choose by --feature_names"
            )
        if not self.names:
            raise ValueError("it has no feature")

    def _check_array(self, name: str, values: Any) -> np.ndarray:
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise ValueError(
                f"the frames of feature {name!r} differ in width"
            ) from error
        if array.ndim != 2 or array.dtype.kind not in "iuf" or not array.size:
            raise ValueError(
                f"feature {name!r} must be numbers [frames, size], one or "
                f"more, got {array.dtype} {list(array.shape)}"
            )
        size = self._sizes.setdefault(name, array.shape[1])
        if array.shape[1] != size:
            raise ValueError(
                f"feature {name!r} has {array.shape[1]} numbers a frame, in "
                f"the videos before {size}"
            )
        kind = "floats" if array.dtype.kind == "f" else "whole numbers"
        if self._kinds.setdefault(name, kind) != kind:
            raise ValueError(
                f"feature {name!r} holds {kind}, in the videos before "
                f"{self._kinds[name]}"
            )
        if self.settings.float_frames:
            with np.errstate(over="ignore"):  # refused as infinite
                array = array.astype(np.float32)
        if array.dtype.kind == "f":
            self._add_floats(name, array)
        elif array.min() < 0 or array.max() > MAX_BYTE:
            raise ValueError(
                f"feature {name!r} holds whole numbers from {array.min()} to "
                f"{array.max()}: they are taken for bytes, 0 to {MAX_BYTE}; "
                "convert other numbers to floats"
            )
        return array

    def _add_floats(self, name: str, array: np.ndarray) -> None:
        if not np.isfinite(array).all():
            frame, place = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(
                f"frame {frame} of feature {name!r} holds the value "
                f"{array[frame, place]}"
            )
        self.least = min(self.least, float(array.min()))
        self.greatest = max(self.greatest, float(array.max()))
        self.num_floats += array.size

    def classes(self) -> tuple[tuple[str, ...] | None, int]:
        """Returns the names, None for numbers, and the number of classes."""
        if not self._labels:
            raise ValueError("There is no video.")
        if all(map(is_number, self._labels)):
            return None, max(map(int, self._labels)) + 1
        numbers = [label for label in self._labels if isinstance(label, int)]
        if numbers:
            raise ValueError(
                f"Some labels are names, others numbers such as {numbers[0]}."
            )
        names = tuple(sorted(map(str, self._labels)))
        return names, len(names)

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Width of each feature, in the order of `names`."""
        return tuple(self._sizes[name] for name in self.names)


def check_videos(
    videos: Iterable[ArrayVideo | tuple], found: ArrayFindings
) -> Iterator[ArrayVideo]:
    """Yields every video once it has been checked and added to the findings.

    Raises:
      ValueError: A video has a wrong form; the message names it.
    """
    for number, each in enumerate(videos):
        try:
            video = ArrayVideo(*each)
        except TypeError as error:
            raise ValueError(
                f"Video {number} is not (id, features, labels)."
            ) from error
        try:
            checked = found.add(video)
        except ValueError as error:
            raise named_error(video, error) from error
        yield checked


class _Placed(Protocol):
    """A video whose place is known."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def place(self) -> str:
        """Where it was read."""


def named_error(video: _Placed, error: ValueError) -> ValueError:
    """Returns an error that begins with the video's place or id."""
    return ValueError(f"{video.place or f'Video {video.id!r}'}: {error}.")


def is_number(label: int | str) -> bool:
    """Returns whether a label is a class index, as a number or as text."""
    return isinstance(label, int) or re.fullmatch("[0-9]+", label) is not None


def _list_labels(labels: Any) -> list[int | str]:
    """Returns one label or several as a list."""
    array = np.asarray(labels).ravel()
    if not array.size:
        raise ValueError("it has no label")
    if array.dtype.kind in "iu":
        return array.tolist()
    texts = [
        each.decode() if isinstance(each, bytes) else each
        for each in array.tolist()
    ]
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(
                f"the label {text!r} is neither a whole number nor a name"
            )
    return texts

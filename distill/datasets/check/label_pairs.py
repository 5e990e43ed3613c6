"""Counts of classes that videos have together.

The counts are sparse: sixteen bytes for each pair that occurs, of some ten
million possible ones of YouTube-8M's classes.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

# So many pairs wait before equal ones are joined.
_MOST_WAITING = 2**20
_MOST_LISTED = 1_000_000


class LabelPairs:
    """Numbers of videos that have two classes, for every pair of classes.

    At first of no video. Counts of several files are added.
    """

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        # Ascending, first class * num_classes + second class, first < second.
        self._keys = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)
        self._waiting: list[np.ndarray] = []
        self._num_waiting = 0

    def add_videos(self, labels: np.ndarray) -> None:
        """Adds videos of the labels `[videos, classes]`, above 0 if held."""
        for row in labels:
            classes = np.flatnonzero(row)
            first, second = np.triu_indices(len(classes), 1)
            keys = classes[first] * self._num_classes + classes[second]
            self._waiting.append(keys)
            self._num_waiting += len(keys)
            if self._num_waiting > _MOST_WAITING:
                self.compact()

    def add(self, other: "LabelPairs") -> None:
        """Adds the counts of other videos."""
        other.compact()
        self.compact()
        self._join(other._keys, other._counts)

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as JSON values."""
        self.compact()
        return {"keys": self._keys.tolist(), "counts": self._counts.tolist()}

    def add_json(self, counts: Mapping[str, Any]) -> None:
        """Adds the counts of other videos, from `to_json`."""
        self._join(*(np.array(counts[n], np.int64) for n in ("keys", "counts")))

    def compact(self) -> None:
        """Joins equal pairs that wait; called before the object is sent."""
        waiting, self._waiting, self._num_waiting = self._waiting, [], 0
        if waiting:
            self._join(*np.unique(np.concatenate(waiting), return_counts=True))

    def _join(self, keys: np.ndarray, counts: np.ndarray) -> None:
        joined = np.concatenate([self._keys, keys])
        self._keys, places = np.unique(joined, return_inverse=True)
        sums = np.zeros(len(self._keys), np.int64)
        np.add.at(sums, places, np.concatenate([self._counts, counts]))
        self._counts = sums

    def __len__(self) -> int:
        """Returns the number of pairs that occur."""
        self.compact()
        return len(self._keys)

    def most_frequent(self, most: int) -> Iterator[tuple[int, int, int]]:
        """Yields the first and second class and the videos of pairs.

        The most frequent first; of equals those of the least classes.
        """
        self.compact()
        order = np.argsort(-self._counts, kind="stable")[:most]
        for key, count in zip(
            self._keys[order].tolist(),
            self._counts[order].tolist(),
            strict=True,
        ):
            yield *divmod(key, self._num_classes), count

    def matrix(self, classes: np.ndarray) -> np.ndarray:
        """Returns the videos of each two of some classes, 0 for one twice."""
        self.compact()
        lesser = np.minimum(classes[:, None], classes)
        keys = lesser * self._num_classes + np.maximum(
            classes[:, None], classes
        )
        if not len(self._keys):
            return np.zeros(keys.shape, np.int64)
        places = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._counts[places], 0)


def list_pairs(
    splits: Mapping[str, tuple[LabelPairs, np.ndarray]],
) -> bytes:
    """Returns a CSV of the pairs of every split, of a million at most.

    Args:
      splits: The pairs, and the videos of each class, by the split's name.

    Returns:
      Lines of the split, both classes, the number of videos that have both,
      and the share of these among the videos of the first and the second.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    header = ("split", "a", "b", "videos", "P(b|a)", "P(a|b)")
    writer.writerow(header)
    for name, (pairs, videos) in splits.items():
        for first, second, count in pairs.most_frequent(_MOST_LISTED):
            shares = (count / videos[index] for index in (first, second))
            numbers = (f"{share:.6f}" for share in shares)
            writer.writerow([name, first, second, count, *numbers])
    return text.getvalue().encode()

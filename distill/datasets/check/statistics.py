"""Figures of a split's videos: their lengths, and how often a class comes."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Numbers of frames.

    Attributes:
      least: Of the shortest video.
      median: Of the video in the middle; of two the mean.
      mean: The mean.
      most: Of the longest video.
      num_longer: Videos of more frames than are read.
    """

    least: int
    median: float
    mean: float
    most: int
    num_longer: int


def measure_lengths(
    counts: Mapping[int, int], max_frames: int | None
) -> Lengths | None:
    """Returns the figures of videos by their number of frames.

    Args:
      counts: Videos by their number of frames.
      max_frames: Frames that are read of a video; None: all.

    Returns:
      The figures; None without a video.
    """
    lengths = np.array(sorted(counts), np.int64)
    if not lengths.size:
        return None
    videos = np.array([counts[length] for length in lengths], np.int64)
    ends, total = videos.cumsum(), videos.sum()
    # The videos at either side of the middle, in order of length.
    middle = np.searchsorted(ends, [(total - 1) // 2, total // 2], side="right")
    longer = 0 if max_frames is None else videos[lengths > max_frames].sum()
    return Lengths(
        int(lengths[0]),
        float(lengths[middle].mean()),
        float((lengths * videos).sum() / total),
        int(lengths[-1]),
        int(longer),
    )


def order_classes(label_counts: np.ndarray) -> np.ndarray:
    """Returns the classes, the most frequent first, of equals the lower."""
    return np.argsort(-label_counts, kind="stable")

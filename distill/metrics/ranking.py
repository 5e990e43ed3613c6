"""Each video's ranking of the classes, with its PERR.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", arXiv 1609.08675, section 5.
"""

import numpy as np

# So many rows of scores stay in a core's cache while they are ranked.
_CACHED_ROWS = 32


def precision_at_equal_recall(
    predictions: np.ndarray, top: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Returns each video's precision at as many classes as it has labels.

    `predictions` are `[videos, classes]` scores, `labels` such booleans, and
    `top` `[videos, k]` classes, best first; if a video has more labels than
    `k`, its best classes are computed again. A video without labels has 0.
    """
    num_labels = np.count_nonzero(labels, axis=1)
    most = int(num_labels.max(initial=0))
    if most > top.shape[1]:
        top = top_classes(predictions, most)
    found = np.take_along_axis(labels, top, axis=1)
    counted = np.arange(top.shape[1])[None, :] < num_labels[:, None]
    return (found & counted).sum(axis=1) / np.maximum(num_labels, 1)


def top_classes(predictions: np.ndarray, k: int) -> np.ndarray:
    """Returns each video's k best classes, best first.

    Args:
      predictions: `[videos, classes]` scores, all finite.
      k: Number of classes; if there are fewer, all are returned.

    Returns:
      `[videos, min(k, classes)]` classes; of equal scores the lower one first.
    """
    num_videos, num_classes = predictions.shape
    if 4 * k >= num_classes:
        return np.argsort(-predictions, axis=1, kind="stable")[:, :k]
    top = np.empty((num_videos, k), np.int64)
    for start in range(0, num_videos, _CACHED_ROWS):
        rows = slice(start, start + _CACHED_ROWS)
        top[rows] = _top_of_many(predictions[rows], k)
    return top


def _top_of_many(predictions: np.ndarray, k: int) -> np.ndarray:
    """Ranks only the scores that reach the k-th best maximum of a group."""
    num_videos, num_classes = predictions.shape
    length = num_classes // (3 * k) or 1
    groups = num_classes // length
    grouped = predictions[:, : length * groups]
    maxima = grouped.reshape(num_videos, length, groups).max(axis=1)
    # k groups reach the bound, so k classes or more do.
    bound = np.partition(maxima, groups - k, axis=1)[:, groups - k]
    places = np.flatnonzero(predictions >= bound[:, None])
    rows, classes = np.divmod(places, num_classes)
    counts = np.bincount(rows, minlength=num_videos)
    columns = np.arange(len(rows)) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    shape = (num_videos, counts.max(initial=0))
    scores = np.full(shape, -np.inf, predictions.dtype)
    scores[rows, columns] = predictions.ravel()[places]
    indexes = np.zeros(shape, np.int64)
    indexes[rows, columns] = classes
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(indexes, order, axis=1)

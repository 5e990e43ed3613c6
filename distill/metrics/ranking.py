"""Hit@1 and PERR: metrics of each video's own ranking of the classes.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", arXiv 1609.08675, section 5.
"""

import numpy as np


def hits_at_one(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns for every video whether its top class is a true label.

    Args:
      predictions: `[videos, classes]` scores.
      labels: `[videos, classes]` booleans.

    Returns:
      `[videos]` booleans.
    """
    top = np.argmax(predictions, axis=1)
    return np.take_along_axis(labels, top[:, None], axis=1)[:, 0]


def precision_at_equal_recall(
    predictions: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Returns each video's precision at as many classes as it has labels.

    Args:
      predictions: `[videos, classes]` scores.
      labels: `[videos, classes]` booleans.

    Returns:
      `[videos]` floats in [0, 1]; 0 for a video without labels.
    """
    num_labels = labels.sum(axis=1)
    most = max(int(num_labels.max(initial=0)), 1)
    top = top_classes(predictions, most)
    found = np.take_along_axis(labels, top, axis=1)
    counted = np.arange(top.shape[1])[None, :] < num_labels[:, None]
    return (found & counted).sum(axis=1) / np.maximum(num_labels, 1)


def top_classes(predictions: np.ndarray, k: int) -> np.ndarray:
    """Returns each video's k best classes, best first.

    Args:
      predictions: `[videos, classes]` scores.
      k: How many; at most all classes are returned.

    Returns:
      `[videos, min(k, classes)]` class indexes; equal scores in any order.
    """
    num_classes = predictions.shape[1]
    if k >= num_classes:
        return np.argsort(-predictions, axis=1, kind="stable")
    top = np.argpartition(-predictions, k, axis=1)[:, :k]
    scores = np.take_along_axis(predictions, top, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)

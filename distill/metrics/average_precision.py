"""Average precision of a ranking, and what is built of it: GAP and mAP.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", arXiv 1609.08675, section 5.
"""

import numpy as np


def average_precision(
    scores: np.ndarray, labels: np.ndarray, num_positives: int | None = None
) -> float:
    """Returns the average precision of a list of scored candidates.

    Sum over the positives of the precision at their rank, over the number of
    positives. Candidates of equal score keep the order they are given in.

    Args:
      scores: `[candidates]` scores.
      labels: `[candidates]` booleans.
      num_positives: Positives in all, those no candidate stands for included;
        default: the positive candidates.

    Returns:
      A float in [0, 1]; 0 if there is no positive.
    """
    order = np.argsort(-scores, kind="stable")
    hits = labels[order].astype(bool)
    if num_positives is None:
        num_positives = int(hits.sum())
    if num_positives == 0:
        return 0.0
    ranks = np.flatnonzero(hits) + 1
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return float(precisions.sum() / num_positives)


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over classes of the average precision.

    Args:
      scores: `[videos, classes]` scores.
      labels: `[videos, classes]` booleans.

    Returns:
      The mean over the classes that have a positive; 0 if none has.
    """
    classes = np.flatnonzero(labels.any(axis=0))
    if not classes.size:
        return 0.0
    return float(
        np.mean(
            [average_precision(scores[:, c], labels[:, c]) for c in classes]
        )
    )

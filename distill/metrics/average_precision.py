"""Average precision of a ranking, and what is built of it: GAP and mAP.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", arXiv 1609.08675, section 5.
"""

import numpy as np


class PrecisionCounter:
    """Average precision of positives among candidates that come in pieces.

    Sum over the positives of the precision at their rank, over the number of
    positives. Candidates of equal score share the rank of the last of them, so
    that the order they come in has no effect.

    Args:
      positives: `[positives]` scores of all positives among the candidates.
    """

    def __init__(self, positives: np.ndarray):
        self._scores, self._positives = np.unique(positives, return_counts=True)
        self._others = np.zeros(len(self._scores), np.int64)

    def add(self, others: np.ndarray) -> None:
        """Counts `[n]` scores of candidates that are no positives."""
        if not self._scores.size:
            return
        # Those below the least positive come behind all of them.
        others = others[others >= self._scores[0]]
        places = np.searchsorted(self._scores, others, side="right") - 1
        self._others += np.bincount(places, minlength=len(self._scores))

    def result(self, num_positives: int | None = None) -> float:
        """Returns the average precision, a float in [0, 1].

        Args:
          num_positives: Positives in all, those that are no candidates
            included; default: those among the candidates.
        """
        if num_positives is None:
            num_positives = int(self._positives.sum())
        if not num_positives:
            return 0.0
        found = np.cumsum(self._positives[::-1])[::-1]
        ranks = found + np.cumsum(self._others[::-1])[::-1]
        return float((self._positives * found / ranks).sum() / num_positives)


def average_precision(
    scores: np.ndarray, labels: np.ndarray, num_positives: int | None = None
) -> float:
    """Returns the average precision of a list of scored candidates.

    Args:
      scores: `[candidates]` scores.
      labels: `[candidates]` booleans.
      num_positives: Positives in all, those no candidate stands for included;
        default: the positive candidates.

    Returns:
      A float in [0, 1]; 0 if there is no positive.
    """
    labels = labels.astype(bool)
    counter = PrecisionCounter(scores[labels])
    counter.add(scores[~labels])
    return counter.result(num_positives)

"""Average precision of a ranking, and what is built of it: GAP and mAP.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", arXiv 1609.08675, section 5.
"""

import numpy as np

from distill.metrics.peers import ALONE, Peers


class PrecisionCounters:
    """Average precisions of rankings whose candidates come in pieces.

    Of each ranking: the sum over the positives of the precision at their rank,
    over the number of positives. Candidates of equal score share the rank of
    the last of them, so that the order they come in has no effect.

    Args:
      positives: `[positives]` scores of all positives among the candidates.
      rankings: `[positives]` ints, to which ranking each belongs; None where
        there is one ranking, number 0.
      num_rankings: How many rankings there are.
    """

    def __init__(
        self,
        positives: np.ndarray,
        rankings: np.ndarray | None = None,
        num_rankings: int = 1,
    ):
        if rankings is None:
            rankings = np.zeros(len(positives), np.int64)
        order = np.lexsort((positives, rankings))
        self._scores = positives[order]
        self._rankings = rankings[order]
        self._bounds = np.searchsorted(
            self._rankings, np.arange(num_rankings + 1)
        )
        self._others = np.zeros(len(positives), np.int64)

    def add(self, others: np.ndarray, ranking: int = 0) -> None:
        """Counts `[n]` scores of a ranking's candidates, none a positive."""
        start, end = self._bounds[ranking], self._bounds[ranking + 1]
        if start == end:
            return
        own = self._scores[start:end]
        # Those below the least positive come behind all of them.
        others = others[np.flatnonzero(others >= own[0])]
        places = np.searchsorted(own, np.sort(others), side="right") - 1
        self._others[start:end] += np.bincount(places, minlength=end - start)

    def result(
        self, num_positives: np.ndarray, peers: Peers = ALONE
    ) -> np.ndarray:
        """Returns the average precisions, `[rankings]` floats in [0, 1].

        Args:
          num_positives: `[rankings]` positives in all, those that are no
            candidates included; a ranking without one has 0.
          peers: Those that counted other candidates of the same positives.
        """
        if not self._scores.size:
            return np.zeros(len(num_positives))
        indexes = np.arange(len(self._scores))
        is_first = np.ones(len(indexes), bool)
        is_first[1:] = (np.diff(self._scores) != 0) | (
            np.diff(self._rankings) != 0
        )
        # The first positive of the same score, and the end of the ranking.
        firsts = np.maximum.accumulate(np.where(is_first, indexes, 0))
        ends = self._bounds[self._rankings + 1]
        others = peers.sum(self._others)
        counted = np.concatenate([[0], np.cumsum(others)])
        found = ends - firsts
        precisions = found / (found + counted[ends] - counted[firsts])
        totals = np.bincount(
            self._rankings, precisions, minlength=len(num_positives)
        )
        return totals / np.maximum(num_positives, 1)


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
    if num_positives is None:
        num_positives = int(labels.sum())
    counters = PrecisionCounters(scores[labels])
    counters.add(scores[~labels])
    return float(counters.result(np.array([num_positives]))[0])

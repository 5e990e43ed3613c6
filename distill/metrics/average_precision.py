"""Average precision of a ranking, the base of GAP and mAP.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", arXiv 1609.08675, section 5.
"""

from collections.abc import Iterable

import numpy as np

from distill.metrics.peers import ALONE, Peers


class PrecisionCounters:
    """Average precisions of rankings whose candidates arrive in pieces.

    The average precision of a ranking is the sum of the precisions at the
    ranks of its positives, over the number of positives. Candidates of equal
    score share the rank of the last of them, so their order has no effect.

    `positives` are `[positives]` scores of all positives among the candidates,
    `rankings` `[positives]` ints, the ranking of each.
    """

    def __init__(
        self, positives: np.ndarray, rankings: np.ndarray, num_rankings: int
    ):
        order = np.lexsort((positives, rankings))
        self._scores = positives[order]
        self._rankings = rankings[order]
        self._bounds = np.searchsorted(
            self._rankings, np.arange(num_rankings + 1)
        )
        self._others = np.zeros(len(positives), np.int64)

    def add(self, others: np.ndarray, ranking: int) -> None:
        """Counts `[n]` scores of a ranking's candidates, none a positive."""
        start, end = self._bounds[ranking], self._bounds[ranking + 1]
        if start == end:
            return
        own = self._scores[start:end]
        # Scores below the least positive rank behind all positives.
        others = others[np.flatnonzero(others >= own[0])]
        places = np.searchsorted(own, np.sort(others), side="right") - 1
        self._others[start:end] += np.bincount(places, minlength=end - start)

    def result(
        self, num_positives: np.ndarray, peers: Peers = ALONE
    ) -> np.ndarray:
        """Returns the average precisions, `[rankings]` floats in [0, 1].

        Args:
          num_positives: `[rankings]` ints, positives in all, including those
            that are not candidates; a ranking without a positive has 0.
          peers: Processes that counted other candidates of the same positives.
        """
        if not self._scores.size:
            return np.zeros(len(num_positives))
        indexes = np.arange(len(self._scores))
        changes = (np.diff(self._scores) != 0) | (np.diff(self._rankings) != 0)
        is_first = np.concatenate([[True], changes])
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

    def mean(self, num_positives: np.ndarray, peers: Peers = ALONE) -> float:
        """Returns the mean over the rankings with a positive; 0 without one."""
        occurs = num_positives > 0
        precisions = self.result(num_positives, peers)[occurs]
        return float(precisions.mean()) if precisions.size else 0.0


def gap_and_map(
    scores: np.ndarray,
    classes: np.ndarray,
    others: Iterable[tuple[np.ndarray, np.ndarray]],
    num_positives: np.ndarray,
    peers: Peers = ALONE,
) -> tuple[float, float]:
    """Returns GAP and mAP.

    They are the average precision of all candidates in one ranking, and the
    mean of the classes' own rankings; both are 0 without a positive.

    Args:
      scores: `[positives]` scores of the positives among the candidates.
      classes: `[positives]` ints, their classes.
      others: Pieces of the other candidates: `[n]` scores and `[n]` classes.
      num_positives: `[classes]` ints, positives in all, including those that
        are not candidates.
      peers: Processes that hold other pieces of the same positives.
    """
    pooled = PrecisionCounters(scores, np.zeros_like(classes), 1)
    by_class = PrecisionCounters(scores, classes, len(num_positives))
    with_positives = np.unique(classes)
    for other_scores, other_classes in others:
        pooled.add(other_scores, 0)
        order = np.argsort(other_classes, kind="stable")
        other_scores, other_classes = other_scores[order], other_classes[order]
        starts = np.searchsorted(other_classes, with_positives)
        ends = np.searchsorted(other_classes, with_positives, side="right")
        for index, start, end in zip(with_positives, starts, ends, strict=True):
            by_class.add(other_scores[start:end], index)
    gap = pooled.mean(num_positives.sum(keepdims=True), peers)
    return gap, by_class.mean(num_positives, peers)

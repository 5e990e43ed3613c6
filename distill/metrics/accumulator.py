"""The metrics of a set of videos, gathered batch by batch."""

from typing import NamedTuple

import numpy as np

from distill.metrics.average_precision import PrecisionCounters
from distill.metrics.peers import ALONE, Peers
from distill.metrics.ranking import (
    hits_at_one,
    precision_at_equal_recall,
    top_classes,
)
from distill.metrics.score_store import ScoreStore


class _Positives(NamedTuple):
    """The true labels: video, class, score, whether it is in the top."""

    videos: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    in_top: np.ndarray


class VideoMetrics:
    """Hit@1, PERR, GAP and mAP of videos seen in any number of batches.

    All are exact. Memory grows by some fifty bytes a video; the scores
    themselves go to a temporary file where they are many (`ScoreStore`).
    Metrics of two disjoint sets merge exactly into those of their union; an
    empty one changes nothing.

    Args:
      top_k: Classes of each video that enter GAP and mAP at k. Of classes of
        equal score the lower index comes first.
      exact_map: Whether the mAP of every score is wanted, which takes most of
        the time and all of the temporary file.
    """

    def __init__(self, top_k: int = 20, exact_map: bool = True):
        if top_k < 1:
            raise ValueError(f"top_k must be 1 or more, got {top_k}.")
        self.top_k = top_k
        self.exact_map = exact_map
        self.num_videos = 0
        self._num_classes = 0
        self._hits = 0.0
        self._perr = 0.0
        self._scores = ScoreStore()
        # Of each video the top k: their scores, then their classes.
        self._top = ScoreStore()
        self._positives: list[_Positives] = []

    def update(self, predictions: np.ndarray, labels: np.ndarray) -> None:
        """Adds a batch.

        Args:
          predictions: `[batch, classes]` scores.
          labels: `[batch, classes]` booleans.

        Raises:
          ValueError: The shapes differ, or a score is not finite.
        """
        if predictions.shape != labels.shape:
            raise ValueError(
                "predictions and labels must have one shape, got "
                f"{predictions.shape} and {labels.shape}."
            )
        if not np.isfinite(predictions).all():
            raise ValueError("A prediction is not finite (NaN or infinity).")
        predictions = np.ascontiguousarray(predictions, np.float32)
        labels = labels.astype(bool)
        ranking = top_classes(predictions, self.top_k)
        self._hits += hits_at_one(ranking, labels).sum()
        self._perr += precision_at_equal_recall(
            predictions, ranking, labels
        ).sum()
        videos, classes = np.divmod(np.flatnonzero(labels), labels.shape[1])
        in_top = (ranking[videos] == classes[:, None]).any(axis=1)
        self._positives.append(
            _Positives(
                (videos + self.num_videos).astype(np.int32),
                classes.astype(np.int32),
                predictions[videos, classes],
                in_top,
            )
        )
        # A true label's place is left empty.
        top_scores = np.take_along_axis(predictions, ranking, axis=1)
        top_scores[np.take_along_axis(labels, ranking, axis=1)] = -np.inf
        self._top.append(np.concatenate([top_scores, ranking], axis=1))
        if self.exact_map:
            self._scores.append(predictions)
        self.num_videos += len(labels)
        self._num_classes = labels.shape[1]

    def merge(self, other: "VideoMetrics") -> None:
        """Adds the videos of `other`."""
        before = self.num_videos
        self._hits += other._hits
        self._perr += other._perr
        self.num_videos += other.num_videos
        self._num_classes = self._num_classes or other._num_classes
        self._scores.extend(other._scores)
        self._top.extend(other._top)
        self._positives += [
            part._replace(videos=part.videos + np.int32(before))
            for part in other._positives
        ]

    def result(self, peers: Peers = ALONE) -> dict[str, float]:
        """Returns the metrics of all videos seen.

        Args:
          peers: Processes that saw other videos; the result is that of all,
            exactly. Scores stay where they are: the true labels' are
            gathered, and how many others lie above each is summed.

        Returns:
          Dict of `gap` (at `top_k`), `hit_at_one`, `perr`,
          `mean_average_precision` (exact, of every score, if wanted) and
          `mean_average_precision_at_k` (of each video's `top_k` classes alone,
          as the YouTube-8M starter code computes it); all 0 without videos.
        """
        counts = np.array([self.num_videos, self._num_classes], np.int64)
        counts = np.array(peers.gather(counts[None]))[:, 0]
        num_videos, num_classes = counts[:, 0].sum(), counts[:, 1].max()
        if not num_videos:
            return dict.fromkeys(self._names(), 0.0)
        own = self._own_positives()
        positives = _gather(own, peers)
        num_positives = np.bincount(positives.classes, minlength=num_classes)
        held = num_positives > 0
        gap, at_k = self._precisions_of_top(positives, num_positives, peers)
        hits, perr = peers.sum(np.array([self._hits, self._perr], np.float64))
        values = [
            gap,
            float(hits / num_videos),
            float(perr / num_videos),
            _mean(at_k[held]),
        ]
        if self.exact_map:
            counters = self._count_others(own, positives, num_classes)
            values.append(_mean(counters.result(num_positives, peers)[held]))
        return dict(zip(self._names(), values, strict=True))

    def _own_positives(self):
        """Returns the true labels of the videos seen here."""
        none = _Positives(
            np.zeros(0, np.int32),
            np.zeros(0, np.int32),
            np.zeros(0, np.float32),
            np.zeros(0, bool),
        )
        parts = zip(none, *self._positives, strict=True)
        return _Positives(*map(np.concatenate, parts))

    def _names(self):
        names = ["gap", "hit_at_one", "perr", "mean_average_precision_at_k"]
        return names + ["mean_average_precision"] * self.exact_map

    def _precisions_of_top(self, positives, num_positives, peers):
        """Returns GAP and each class's precision of the top k alone."""
        scores = positives.scores[positives.in_top]
        classes = positives.classes[positives.in_top]
        pooled = PrecisionCounters(scores)
        by_class = PrecisionCounters(scores, classes, len(num_positives))
        for rows in self._top.rows():
            others, of_class = np.hsplit(rows, 2)
            real = others > -np.inf
            others, of_class = others[real], of_class[real].astype(np.int32)
            pooled.add(others)
            order = np.argsort(of_class, kind="stable")
            others, of_class = others[order], of_class[order]
            held = np.unique(classes)
            starts = np.searchsorted(of_class, held)
            ends = np.searchsorted(of_class, held, side="right")
            for index, start, end in zip(held, starts, ends, strict=True):
                by_class.add(others[start:end], index)
        total = np.array([num_positives.sum()])
        return (
            float(pooled.result(total, peers)[0]),
            by_class.result(num_positives, peers),
        )

    def _count_others(self, own, positives, num_classes):
        """Counts every class's candidates among the scores seen here."""
        counters = PrecisionCounters(
            positives.scores, positives.classes, num_classes
        )
        videos = _split_by_class(own, num_classes)
        for index, scores in enumerate(self._scores.classes()):
            scores[videos[index]] = -np.inf
            counters.add(scores, index)
        return counters


def _gather(positives, peers):
    """Returns the true labels of all processes; their videos mean nothing."""
    return _Positives(
        *(np.concatenate(peers.gather(field)) for field in positives)
    )


def _split_by_class(positives, num_classes):
    """Returns for each class the videos of which it is a label."""
    order = np.argsort(positives.classes, kind="stable")
    ends = np.cumsum(np.bincount(positives.classes, minlength=num_classes))
    return np.split(positives.videos[order], ends[:-1])


def _mean(values):
    return float(np.mean(values)) if values.size else 0.0

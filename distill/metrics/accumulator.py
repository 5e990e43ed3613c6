"""The metrics of a set of videos, gathered batch by batch."""

from typing import NamedTuple

import numpy as np

from distill.metrics.average_precision import PrecisionCounter
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


class _Top(NamedTuple):
    """Where each video's top k ends: at this score, and in it at this class."""

    scores: np.ndarray
    classes: np.ndarray

    def holds(self, scores, classes):
        """Returns which classes of these scores are in the top k."""
        tied = (scores == self.scores) & (classes <= self.classes)
        return (scores > self.scores) | tied


class VideoMetrics:
    """Hit@1, PERR, GAP and mAP of videos seen in any number of batches.

    All are exact. Memory grows by some fifty bytes a video; the scores
    themselves go to a temporary file where they are many (`ScoreStore`).
    Metrics of two disjoint sets merge exactly into those of their union; an
    empty one changes nothing.

    Args:
      top_k: Classes of each video that enter GAP and mAP at k. Of classes of
        equal score the lower index comes first.
    """

    def __init__(self, top_k: int = 20):
        if top_k < 1:
            raise ValueError(f"top_k must be 1 or more, got {top_k}.")
        self.top_k = top_k
        self._hits = 0.0
        self._perr = 0.0
        self._store = ScoreStore()
        self._tops: list[_Top] = []
        self._positives: list[_Positives] = []

    @property
    def num_videos(self) -> int:
        """How many videos were added."""
        return self._store.num_videos

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
        top = _end_of_top(predictions, ranking)
        videos, classes = np.divmod(np.flatnonzero(labels), labels.shape[1])
        scores = predictions[videos, classes]
        in_top = _Top(*(part[videos] for part in top)).holds(scores, classes)
        self._tops.append(top)
        self._positives.append(
            _Positives(
                (videos + self.num_videos).astype(np.int32),
                classes.astype(np.int32),
                scores,
                in_top,
            )
        )
        self._store.append(predictions)

    def merge(self, other: "VideoMetrics") -> None:
        """Adds the videos of `other`."""
        before = self.num_videos
        self._hits += other._hits
        self._perr += other._perr
        self._store.extend(other._store)
        self._tops += other._tops
        self._positives += [
            part._replace(videos=part.videos + np.int32(before))
            for part in other._positives
        ]

    def result(self) -> dict[str, float]:
        """Returns the metrics of all videos seen.

        Returns:
          Dict of `gap` (at `top_k`), `hit_at_one`, `perr`,
          `mean_average_precision` (exact, of every score) and
          `mean_average_precision_at_k` (of each video's `top_k` classes alone,
          as the YouTube-8M starter code computes it); all 0 without videos.
        """
        if not self.num_videos:
            names = ("gap", "hit_at_one", "perr", "mean_average_precision")
            return dict.fromkeys((*names, "mean_average_precision_at_k"), 0.0)
        top = _Top(*map(np.concatenate, zip(*self._tops, strict=True)))
        positives = _Positives(
            *map(np.concatenate, zip(*self._positives, strict=True))
        )
        pooled = PrecisionCounter(positives.scores[positives.in_top])
        of_class = _split_by_class(positives.classes, self._store.num_classes)
        precisions, precisions_at_k = [], []
        for index, scores in enumerate(self._store.classes()):
            own = of_class[index]
            scores[positives.videos[own]] = -np.inf
            others_in_top = scores[top.holds(scores, index)]
            pooled.add(others_in_top)
            if own.size:
                hits = own[positives.in_top[own]]
                precisions.append(_precision(positives.scores[own], scores))
                precisions_at_k.append(
                    _precision(positives.scores[hits], others_in_top, own.size)
                )
        return {
            "gap": pooled.result(len(positives.scores)),
            "hit_at_one": float(self._hits / self.num_videos),
            "perr": float(self._perr / self.num_videos),
            "mean_average_precision": _mean(precisions),
            "mean_average_precision_at_k": _mean(precisions_at_k),
        }


def _end_of_top(predictions, ranking):
    scores = np.take_along_axis(predictions, ranking, axis=1)
    ends = scores[:, -1]
    tied = np.where(scores == ends[:, None], ranking, -1)
    return _Top(ends, tied.max(axis=1).astype(np.int32))


def _split_by_class(classes, num_classes):
    """Returns for each class where it stands in `classes`."""
    order = np.argsort(classes, kind="stable")
    ends = np.cumsum(np.bincount(classes, minlength=num_classes))
    return np.split(order, ends[:-1])


def _precision(positives, others, num_positives=None):
    counter = PrecisionCounter(positives)
    counter.add(others)
    return counter.result(num_positives)


def _mean(values):
    return float(np.mean(values)) if values else 0.0

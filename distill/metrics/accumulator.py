"""The metrics of a set of videos, gathered batch by batch."""

import numpy as np

from distill.metrics.average_precision import (
    average_precision,
    mean_average_precision,
)
from distill.metrics.ranking import (
    hits_at_one,
    precision_at_equal_recall,
    top_classes,
)


class VideoMetrics:
    """Hit@1, PERR, GAP and mAP of videos seen in any number of batches.

    Metrics of two disjoint sets merge exactly into those of their union; an
    empty one changes nothing.

    Args:
      top_k: Classes of each video that enter GAP and mAP at k.
    """

    def __init__(self, top_k: int = 20):
        if top_k < 1:
            raise ValueError(f"top_k must be 1 or more, got {top_k}.")
        self.top_k = top_k
        self.num_videos = 0
        self._hits = 0.0
        self._perr = 0.0
        self._scores: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._num_classes = 0

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
        labels = labels.astype(bool)
        self.num_videos += len(labels)
        self._num_classes = labels.shape[1]
        self._hits += hits_at_one(predictions, labels).sum()
        self._perr += precision_at_equal_recall(predictions, labels).sum()
        self._scores.append(predictions.astype(np.float32))
        self._labels.append(np.packbits(labels, axis=1))

    def merge(self, other: "VideoMetrics") -> None:
        """Adds the videos of `other`."""
        self.num_videos += other.num_videos
        self._num_classes = self._num_classes or other._num_classes
        self._hits += other._hits
        self._perr += other._perr
        self._scores += other._scores
        self._labels += other._labels

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
        scores = np.concatenate(self._scores)
        labels = np.unpackbits(
            np.concatenate(self._labels), axis=1, count=self._num_classes
        ).astype(bool)
        top = top_classes(scores, self.top_k)
        top_scores = np.take_along_axis(scores, top, axis=1)
        top_labels = np.take_along_axis(labels, top, axis=1)
        num_positives = labels.sum(axis=0)
        return {
            "gap": average_precision(
                top_scores.ravel(), top_labels.ravel(), int(num_positives.sum())
            ),
            "hit_at_one": float(self._hits / self.num_videos),
            "perr": float(self._perr / self.num_videos),
            "mean_average_precision": mean_average_precision(scores, labels),
            "mean_average_precision_at_k": _mean_over_top(
                top.ravel(),
                top_scores.ravel(),
                top_labels.ravel(),
                num_positives,
            ),
        }


def _mean_over_top(classes, scores, labels, num_positives):
    """Returns the mAP of pooled (class, score, label) triples."""
    order = np.argsort(classes, kind="stable")
    scores, labels = scores[order], labels[order]
    ends = np.cumsum(np.bincount(classes, minlength=len(num_positives)))
    precisions = [
        average_precision(scores[start:end], labels[start:end], positives)
        for start, end, positives in zip(
            np.concatenate([[0], ends[:-1]]), ends, num_positives, strict=True
        )
        if positives
    ]
    return float(np.mean(precisions)) if precisions else 0.0

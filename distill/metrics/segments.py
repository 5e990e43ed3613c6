"""Metrics of segments with ratings of some (segment, class) pairs.

YouTube-8M Segments (2019): a pair without a rating is neither positive nor
negative, and is ignored.
"""

import numpy as np

from distill.metrics.average_precision import average_precision
from distill.metrics.peers import ALONE, Peers


class SegmentMetrics:
    """Segment mAP and GAP of segments in any number of batches.

    Metrics of two disjoint sets merge exactly into those of their union; empty
    ones change nothing. Only the rated pairs are kept.
    """

    def __init__(self) -> None:
        self.num_segments = 0
        self._classes: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def update(
        self,
        predictions: np.ndarray,
        labels: np.ndarray,
        label_weights: np.ndarray,
    ) -> None:
        """Adds a batch.

        `predictions` are `[batch, classes]` scores, `labels` and
        `label_weights` (the rated pairs) booleans.

        Raises:
          ValueError: The shapes differ, or a score is not finite.
        """
        if not predictions.shape == labels.shape == label_weights.shape:
            raise ValueError(
                "predictions, labels and label_weights must have one shape, "
                f"got {predictions.shape}, {labels.shape} and "
                f"{label_weights.shape}."
            )
        if not np.isfinite(predictions).all():
            raise ValueError("A prediction is not finite (NaN or infinity).")
        segments, classes = np.nonzero(label_weights)
        self.num_segments += len(labels)
        self._classes.append(classes.astype(np.int32))
        self._scores.append(predictions[segments, classes].astype(np.float32))
        self._labels.append(labels[segments, classes].astype(bool))

    def merge(self, other: "SegmentMetrics") -> None:
        """Adds the segments of `other`."""
        self.num_segments += other.num_segments
        self._classes += other._classes
        self._scores += other._scores
        self._labels += other._labels

    def result(self, peers: Peers = ALONE) -> dict[str, float]:
        """Returns the metrics of all segments.

        The result covers the segments of all peers too.

        Returns:
          Dict of `segment_mean_average_precision` (each class's rated segments
          ranked; the mean over the classes with a positive), `gap` (all rated
          pairs in one ranking) and `num_rated`, the number of rated pairs; all
          0 without ratings.
        """
        classes = _gather(self._classes, np.int32, peers)
        scores = _gather(self._scores, np.float32, peers)
        labels = _gather(self._labels, bool, peers)
        if not scores.size:
            names = ("segment_mean_average_precision", "gap", "num_rated")
            return dict.fromkeys(names, 0)
        # Stable: pairs of one class and score keep the order of the batches.
        order = np.argsort(classes, kind="stable")
        ends = np.cumsum(np.bincount(classes))
        precisions = [
            average_precision(scores[of_class], labels[of_class])
            for of_class in np.split(order, ends[:-1])
            if labels[of_class].any()
        ]
        return {
            "segment_mean_average_precision": (
                float(np.mean(precisions)) if precisions else 0.0
            ),
            "gap": average_precision(scores, labels),
            "num_rated": len(scores),
        }


def _gather(parts: list[np.ndarray], dtype: type, peers: Peers) -> np.ndarray:
    own = np.concatenate([np.zeros(0, dtype), *parts])
    return np.concatenate(peers.gather(own))

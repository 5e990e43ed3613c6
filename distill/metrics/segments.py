"""Metrics of segments with ratings of some (segment, class) pairs.

YouTube-8M Segments (2019): a pair without a rating is neither positive nor
negative, and is ignored.
"""

import numpy as np

from distill.metrics.average_precision import gap_and_map
from distill.metrics.peers import ALONE, Peers


class SegmentMetrics:
    """Segment mAP and GAP of segments in any number of batches.

    Metrics of two disjoint sets merge exactly into those of their union; empty
    ones change nothing. Only the rated pairs are kept.
    """

    def __init__(self) -> None:
        self.num_segments = 0
        # Classes, scores and labels of the rated pairs of each batch.
        types = (np.int32, np.float32, bool)
        self._rated = [tuple(np.zeros(0, t) for t in types)]

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
        scores = predictions[segments, classes].astype(np.float32)
        positive = labels[segments, classes].astype(bool)
        self._rated.append((classes.astype(np.int32), scores, positive))

    def merge(self, other: "SegmentMetrics") -> None:
        """Adds the segments of `other`."""
        self.num_segments += other.num_segments
        self._rated += other._rated

    def result(self, peers: Peers = ALONE) -> dict[str, float]:
        """Returns the metrics of all segments, those of all peers too.

        Returns:
          Dict of `segment_mean_average_precision` (each class's rated segments
          ranked; the mean over the classes with a positive), `gap` (all rated
          pairs in one ranking) and `num_rated`, the number of rated pairs; all
          0 without ratings.
        """
        classes, scores, labels = (
            np.concatenate(peers.gather(np.concatenate(field)))
            for field in zip(*self._rated, strict=True)
        )
        gap, mean = gap_and_map(
            scores[labels],
            classes[labels],
            [(scores[~labels], classes[~labels])],
            np.bincount(classes[labels]),
        )
        return {
            "segment_mean_average_precision": mean,
            "gap": gap,
            "num_rated": len(scores),
        }

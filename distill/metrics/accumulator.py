"""The metrics of a set of videos, gathered batch by batch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from distill.metrics.average_precision import PrecisionCounters, gap_and_map
from distill.metrics.peers import ALONE, Peers
from distill.metrics.ranking import precision_at_equal_recall, top_classes
from distill.metrics.score_store import ScoreStore


class _Positives(NamedTuple):
    """The true labels: video, class, score, and membership of the top k."""

    videos: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    in_top: np.ndarray


class VideoMetrics:
    """Hit@1, PERR, GAP and mAP of videos in any number of batches.

    All are exact. Memory grows by about fifty bytes a video; large amounts of
    scores go to a temporary file (`ScoreStore`). Metrics of two disjoint sets
    merge exactly into those of their union; empty ones change nothing.

    Args:
      top_k: Classes of each video that enter GAP and mAP at k. For classes of
        equal score the lower index comes first.
      exact_map: Compute the mAP of every score too, which takes most of the
        time and all of the temporary file.
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
        # Rows of a video's top k scores, followed by their k classes.
        self._top = ScoreStore()
        types = (np.int32, np.int32, np.float32, bool)
        self._positives = [_Positives(*(np.zeros(0, t) for t in types))]

    def update(self, predictions: np.ndarray, labels: np.ndarray) -> None:
        """Adds a batch.

        `predictions` are `[batch, classes]` scores, `labels` booleans.

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
        # Hit@1: the best class is a true label.
        self._hits += np.take_along_axis(labels, ranking[:, :1], axis=1).sum()
        perr = precision_at_equal_recall(predictions, ranking, labels)
        self._perr += perr.sum()
        videos, classes = np.divmod(np.flatnonzero(labels), labels.shape[1])
        in_top = (ranking[videos] == classes[:, None]).any(axis=1)
        numbers = (videos + self.num_videos).astype(np.int32)
        scores = predictions[videos, classes]
        self._positives.append(
            _Positives(numbers, classes.astype(np.int32), scores, in_top)
        )
        # True labels are kept apart: their scores here are marked as absent.
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
        """Returns the metrics of all videos, those of all peers too.

        They are exact: the true labels are gathered, and the number of other
        scores above each of them is summed.

        Returns:
          Dict of `gap` (at `top_k`), `hit_at_one`, `perr`,
          `mean_average_precision` (of every score, if `exact_map`) and
          `mean_average_precision_at_k` (of each video's `top_k` classes alone,
          as the YouTube-8M starter code computes it); all 0 without videos.
        """
        counts = np.array([[self.num_videos, self._num_classes]], np.int64)
        counts = np.concatenate(peers.gather(counts))
        num_videos, num_classes = counts[:, 0].sum(), counts[:, 1].max()
        fields = zip(*self._positives, strict=True)
        own = _Positives(*map(np.concatenate, fields))
        # The video numbers of other processes are not used.
        positives = _Positives(
            *(np.concatenate(peers.gather(field)) for field in own)
        )
        num_positives = np.bincount(positives.classes, minlength=num_classes)
        gap, map_at_k = gap_and_map(
            positives.scores[positives.in_top],
            positives.classes[positives.in_top],
            self._other_top_scores(),
            num_positives,
            peers,
        )
        sums = peers.sum(np.array([self._hits, self._perr], np.float64))
        hit_at_one, perr = (sums / max(num_videos, 1)).tolist()
        result = {
            "gap": gap,
            "hit_at_one": hit_at_one,
            "perr": perr,
            "mean_average_precision_at_k": map_at_k,
        }
        if self.exact_map:
            counters = self._count_others(own, positives, num_classes)
            exact = counters.mean(num_positives, peers)
            result["mean_average_precision"] = exact
        return result

    def _other_top_scores(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields scores and classes of the top k that are no true labels."""
        for rows in self._top.rows():
            scores, classes = np.hsplit(rows, 2)
            others = scores > -np.inf
            yield scores[others], classes[others].astype(np.int32)

    def _count_others(
        self, own: _Positives, positives: _Positives, num_classes: int
    ) -> PrecisionCounters:
        counters = PrecisionCounters(
            positives.scores, positives.classes, num_classes
        )
        order = np.argsort(own.classes, kind="stable")
        ends = np.cumsum(np.bincount(own.classes, minlength=num_classes))
        videos = np.split(own.videos[order], ends[:-1])
        for index, scores in enumerate(self._scores.classes()):
            scores[videos[index]] = -np.inf
            counters.add(scores, index)
        return counters

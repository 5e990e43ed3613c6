"""Plain metrics, as in the YouTube-8M starter code: by rows and by heaps.

Without equal scores the numbers are those of `distill.metrics`.
"""

import heapq

import numpy as np


class PlainAveragePrecision:
    """Average precision of a stream of candidates, which a heap keeps."""

    def __init__(self):
        self.num_positives = 0
        self._heap: list[tuple[float, float]] = []

    def accumulate(
        self, scores: list, labels: list, num_positives: int
    ) -> None:
        """Adds candidates; `num_positives` counts those left out too."""
        self.num_positives += num_positives
        for score, label in zip(scores, labels, strict=True):
            heapq.heappush(self._heap, (score, label))

    def result(self) -> float:
        """Returns the average precision."""
        hits, total = 0.0, 0.0
        ranked = sorted(self._heap, key=lambda pair: -pair[0])
        for rank, (_, label) in enumerate(ranked, start=1):
            if label:
                hits += 1
                total += hits / rank
        return total / self.num_positives if self.num_positives else 0.0


class PlainVideoMetrics:
    """Hit@1, PERR, GAP and mAP of each video's top classes, row by row.

    Args:
      num_classes: Classes of the predictions.
      top_k: Classes of each video that enter GAP and mAP.
    """

    def __init__(self, num_classes: int, top_k: int = 20):
        self.top_k = top_k
        self.num_videos = 0
        self._hits = 0.0
        self._perr = 0.0
        self._pooled = PlainAveragePrecision()
        self._classes = [PlainAveragePrecision() for _ in range(num_classes)]

    def update(self, predictions: np.ndarray, labels: np.ndarray) -> None:
        """Adds a batch of `[batch, classes]` scores and booleans.

        As the starter code does, a batch's candidates are first sorted into
        one list a class, and every class's list is then accumulated.
        """
        num_classes = predictions.shape[1]
        scores_of: list[list] = [[] for _ in range(num_classes)]
        labels_of: list[list] = [[] for _ in range(num_classes)]
        for scores, truth in zip(predictions, labels, strict=True):
            self.num_videos += 1
            self._hits += truth[np.argmax(scores)]
            self._perr += self._precision_at_equal_recall(scores, truth)
            for index in np.argpartition(scores, -self.top_k)[-self.top_k :]:
                scores_of[index].append(scores[index])
                labels_of[index].append(truth[index])
        for index in range(num_classes):
            num_positives = int(np.sum(labels[:, index]))
            candidates = scores_of[index], labels_of[index], num_positives
            self._classes[index].accumulate(*candidates)
            self._pooled.accumulate(*candidates)

    def _precision_at_equal_recall(
        self, scores: np.ndarray, truth: np.ndarray
    ) -> float:
        count = int(truth.sum())
        if not count:
            return 0.0
        top = np.argpartition(scores, -count)[-count:]
        return sum(truth[index] for index in top) / count

    def result(self) -> dict[str, float]:
        """Returns `gap`, `hit_at_one`, `perr` and the mAP of the top k."""
        precisions = [
            each.result() for each in self._classes if each.num_positives
        ]
        return {
            "gap": self._pooled.result(),
            "hit_at_one": self._hits / self.num_videos,
            "perr": self._perr / self.num_videos,
            "mean_average_precision_at_k": float(np.mean(precisions)),
        }

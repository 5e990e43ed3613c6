"""Weights of an ensemble, searched on the members' own predictions.

Caruana et al., "Ensemble selection from libraries of models", ICML 2004: one
member after another is added, each as often as it helps.
"""

from collections.abc import Sequence

import numpy as np

from distill.evaluation.evaluate import Prediction
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.score_store import ScoreStore
from distill.models.argument_checks import check_at_least


class KeptPredictions:
    """The predictions of several members of the same videos, with labels.

    Kept as float32, beyond 64 MB a member in a temporary file: four bytes a
    video, class and member. A search reads them once a step. Labels stay in
    memory, eight bytes each.
    """

    def __init__(self):
        self._members: list[ScoreStore] = []
        self._videos: list[np.ndarray] = []
        self._classes: list[np.ndarray] = []

    @property
    def num_members(self) -> int:
        """How many members have been kept."""
        return len(self._members)

    def start_member(self) -> None:
        """Makes room for the next member's predictions."""
        self._check_same_videos()
        self._members.append(ScoreStore())

    def keep(self, videos: Prediction) -> None:
        """Keeps a batch of the member started last."""
        store = self._members[-1]
        if len(self._members) == 1:
            numbers, classes = np.nonzero(videos.labels)
            self._videos.append((numbers + store.num_videos).astype(np.int32))
            self._classes.append(classes.astype(np.int32))
        store.append(videos.predictions)

    def _check_same_videos(self):
        numbers = {store.num_videos for store in self._members}
        if len(numbers) > 1:
            raise ValueError(
                f"The members must read the same videos, got {sorted(numbers)} "
                "of them."
            )

    def score(self, choices: Sequence[Sequence[float]], top_k: int) -> list:
        """Returns the GAP of each of several choices of weights.

        Args:
          choices: Of each the members' weights, of any positive sum.
          top_k: Classes a video.

        Raises:
          ValueError: The members have not predicted the same videos.
        """
        self._check_same_videos()
        metrics = [VideoMetrics(top_k, exact_map=False) for _ in choices]
        weights = np.array(choices, np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        videos = np.concatenate(self._videos)
        classes = np.concatenate(self._classes)
        start = 0
        for parts in zip(*(m.rows() for m in self._members), strict=True):
            end = start + len(parts[0])
            labels = np.zeros(parts[0].shape, bool)
            held = slice(*np.searchsorted(videos, [start, end]))
            labels[videos[held] - start, classes[held]] = True
            for metric, shares in zip(metrics, weights, strict=True):
                mean = np.zeros(labels.shape, np.float32)
                for share, part in zip(shares, parts, strict=True):
                    if share:
                        mean += np.float32(share) * part
                metric.update(mean, labels)
            start = end
        return [metric.result()["gap"] for metric in metrics]


def search_weights(
    kept: KeptPredictions, *, num_steps: int = 20, top_k: int = 20
) -> list[float]:
    """Searches the weights of the best GAP, greedily; nothing is drawn.

    Every step adds the member that makes the mean of all added so far best
    (of equals the first). The best mean on the way is the result, of equals
    the shortest.

    Args:
      kept: The members' predictions of validation videos. What is to be
        reported must come of others.
      num_steps: Additions: weights are multiples of one over as many or fewer.
      top_k: Classes a video that enter GAP.

    Returns:
      A weight for each member, which sum to 1.
    """
    check_at_least(1, search_steps=num_steps)
    identity = np.eye(kept.num_members, dtype=int)
    counts, best, best_gap = 0 * identity[0], identity[0], -1.0
    for _ in range(num_steps):
        choices = counts + identity
        gaps = kept.score(choices, top_k)
        chosen = int(np.argmax(gaps))
        counts = choices[chosen]
        if gaps[chosen] > best_gap:
            best, best_gap = counts, gaps[chosen]
    return (best / best.sum()).tolist()

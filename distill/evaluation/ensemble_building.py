"""Building an ensemble: scores of its members, its weights, its file.

Weights are searched on the members' predictions (Caruana et al., "Ensemble
selection from libraries of models", ICML 2004): one member after another is
added, each as often as it helps.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import Prediction, evaluate_checkpoint
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.score_store import ScoreStore
from distill.models.argument_checks import check_at_least
from distill.networks.ensemble import check_members
from distill.networks.ensemble_file import Ensemble, Member
from distill.networks.loading import load_network


class KeptPredictions:
    """Predictions of several members for the same videos, with labels.

    They are kept as float32, four bytes a video, class and member; above 64 MB
    a member in a temporary file, which every step of a search reads once.
    Labels stay in memory, eight bytes each.
    """

    def __init__(self) -> None:
        self.members: list[ScoreStore] = []
        self._videos: list[np.ndarray] = []
        self._classes: list[np.ndarray] = []

    def start_member(self) -> None:
        """Begins the next member."""
        self._check_same_videos()
        self.members.append(ScoreStore())

    def keep(self, videos: Prediction) -> None:
        """Keeps a batch of the newest member."""
        store = self.members[-1]
        if len(self.members) == 1:
            numbers, classes = np.nonzero(videos.labels)
            self._videos.append((numbers + store.num_videos).astype(np.int32))
            self._classes.append(classes.astype(np.int32))
        store.append(videos.predictions)

    def _check_same_videos(self) -> None:
        numbers = {store.num_videos for store in self.members}
        if len(numbers) > 1:
            raise ValueError(
                "The members must read the same videos, got the numbers "
                f"{sorted(numbers)}."
            )

    def score(
        self, choices: Sequence[Sequence[float]], top_k: int
    ) -> list[float]:
        """Returns the GAP for each of several choices of the members' weights.

        Raises:
          ValueError: The members have predicted different videos.
        """
        self._check_same_videos()
        metrics = [VideoMetrics(top_k, exact_map=False) for _ in choices]
        weights = np.array(choices, np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        videos = np.concatenate(self._videos)
        classes = np.concatenate(self._classes)
        start = 0
        for predictions in zip(*(m.rows() for m in self.members), strict=True):
            end = start + len(predictions[0])
            labels = np.zeros(predictions[0].shape, bool)
            rows = slice(*np.searchsorted(videos, [start, end]))
            labels[videos[rows] - start, classes[rows]] = True
            for metric, choice in zip(metrics, weights, strict=True):
                mean = np.zeros(labels.shape, np.float32)
                for weight, scores in zip(choice, predictions, strict=True):
                    if weight:
                        mean += np.float32(weight) * scores
                metric.update(mean, labels)
            start = end
        return [metric.result()["gap"] for metric in metrics]


def search_weights(
    kept: KeptPredictions, *, num_steps: int = 20, top_k: int = 20
) -> list[float]:
    """Searches the weights of the best GAP, greedily and without chance.

    Every step adds the member that gives the best mean of all added so far;
    the first one in a tie. The result is the best mean of all steps; the
    earliest in a tie.

    A member may be added often; the `num_steps` additions also bound the
    weights' denominator. GAP is that of the `top_k` classes of each video.
    Report scores on other videos than those kept.

    Returns:
      A weight for each member; they sum to 1.
    """
    check_at_least(1, search_steps=num_steps)
    identity = np.eye(len(kept.members), dtype=int)
    counts, best, best_gap = 0 * identity[0], identity[0], -1.0
    for _ in range(num_steps):
        choices = counts + identity
        gaps = kept.score(choices, top_k)
        chosen = int(np.argmax(gaps))
        counts = choices[chosen]
        if gaps[chosen] > best_gap:
            best, best_gap = counts, gaps[chosen]
    return (best / best.sum()).tolist()


def build_ensemble(
    reader: VideoReader,
    members: Sequence[Member],
    path: str | Path,
    *,
    search_steps: int | None = None,
    top_k: int = 20,
    precision: str = "float32",
) -> dict[str, dict[str, Any]]:
    """Writes an ensemble's file and scores it beside its members.

    The file holds the members of weights above 0; with `search_steps` the
    weights are first searched on the reader's videos. `top_k` classes a video
    enter GAP; the networks compute in the precision `float32` or `bfloat16`.

    Returns:
      Scores of each member and of `ensemble` by name, from
      `evaluate_checkpoint`, each with its `weight`.

    Raises:
      ValueError: The members cannot be an ensemble.
    """
    ensemble = Ensemble(tuple(members))
    check_members(ensemble.members)
    segments = reader.schema.segment_labels
    if search_steps is not None and segments:
        raise ValueError(
            "--search_weights is for whole videos, not --segment_labels: give "
            "--weights."
        )

    def score(
        checkpoint: str | Path, role: str, observe: Any = None
    ) -> dict[str, Any]:
        return evaluate_checkpoint(
            checkpoint,
            role,
            reader,
            top_k=top_k,
            network=load_network(checkpoint, role, precision, None, segments),
            observe=observe,
        )

    scores, kept = {}, KeptPredictions()
    for member in ensemble.members:
        kept.start_member()
        observe = kept.keep if search_steps is not None else None
        scores[member.name] = score(member.checkpoint, member.role, observe)
    if search_steps is not None:
        weights = search_weights(kept, num_steps=search_steps, top_k=top_k)
        pairs = zip(members, weights, strict=True)
        ensemble = Ensemble(
            tuple(dataclasses.replace(m, weight=w) for m, w in pairs)
        )
    ensemble.write(path)
    for member in ensemble.members:
        scores[member.name]["weight"] = member.weight
    return scores | {"ensemble": score(path, "student") | {"weight": 1.0}}

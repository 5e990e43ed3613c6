"""Weights of prediction files, fitted to labels and scored on other videos.

The fit sees the pairs of a video and a class that any file lists. Memory holds
some thirty bytes for each pair and file.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.evaluation.prediction_files.combining import (
    LEAST_SCORE,
    Combination,
)
from distill.evaluation.prediction_files.files import VideoScores, read_labels
from distill.evaluation.prediction_files.fitted_weights import (
    FITTED_METHODS,
    FittedWeights,
    hash_id,
    sample_ids,
    to_logits,
)
from distill.evaluation.prediction_files.matched_files import (
    ListedScores,
    MatchedPredictions,
)
from distill.evaluation.prediction_files.scores import ListedMetrics
from distill.evaluation.prediction_files.weight_fitting import (
    fit_logistic,
    fit_mixture,
)
from distill.models.argument_checks import check_choice

_DRAW = "hold out"
# From rows of the pairs, and the weights of all pairs, to the rows' weights.
Fit = Callable[[slice, np.ndarray | None], np.ndarray]


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """How weights are fitted, and on which videos.

    Attributes:
      method: One of `FITTED_METHODS`.
      shrinkage: How strongly the weights of a class are held to those of all:
        as so many pairs that speak for these (`class_weights`), or as the
        factor of half the squared distance in the loss (`stacking`, whose
        weights of all are held to the mean of the logits in the same way).
      hold_out: Share of the videos, drawn by their ids, that are not fitted
        but scored.
    """

    method: str = "weights"
    shrinkage: float = 10.0
    hold_out: float = 0.0

    def __post_init__(self) -> None:
        """Checks the fields."""
        check_choice("method", self.method, FITTED_METHODS)
        if not 0 < self.shrinkage < np.inf:
            raise ValueError(
                f"shrinkage must be above 0, got {self.shrinkage}."
            )
        if not 0 <= self.hold_out < 1:
            raise ValueError(
                f"hold_out must be 0 or more and below 1, got {self.hold_out}."
            )

    def holds_out(self, video_id: str) -> bool:
        """Returns whether a video is not fitted; its id alone decides."""
        return int(hash_id(video_id, _DRAW), 16) < self.hold_out * 2**64


class Pairs:
    """Pairs of a video and a class, with each file's score and the label."""

    def __init__(self) -> None:
        self.video_ids: list[str] = []
        self._scores: list[np.ndarray] = []
        self._classes: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, video: ListedScores, labels: Iterable[int]) -> None:
        """Adds the listed classes of a video."""
        self.video_ids.append(video.video_id)
        self._scores.append(video.scores.T.astype(np.float32))
        self._classes.append(video.classes)
        self._labels.append(np.isin(video.classes, list(labels)))

    def by_class(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns scores `[pairs, files]`, classes and labels, by class.

        Raises:
          ValueError: There is no pair.
        """
        if not sum(map(len, self._classes)):
            raise ValueError("The videos to fit have no predicted class.")
        classes = np.concatenate(self._classes)
        order = np.argsort(classes, kind="stable")
        return (
            np.concatenate(self._scores)[order],
            classes[order],
            np.concatenate(self._labels)[order],
        )


def fit_predictions(
    files: Sequence[str | Path],
    labels: Iterable[str | Path],
    settings: FitSettings,
    top_k: int = 20,
) -> tuple[FittedWeights, dict[str, dict[str, Any]]]:
    """Fits weights of prediction files of the same videos to labels.

    `weights` and `class_weights` minimise the log loss of the weighted mean,
    `stacking` that of the logistic regression. `top_k` classes a video enter
    GAP and mAP at k. Labels of other videos are not used.

    Returns:
      The weights, and the scores of every file, of their equally weighted mean
      and of the fitted combination, by name: on the held-out videos or, if
      there are none, on the fitted ones.

    Raises:
      ValueError: A line is wrong, a file lacks a video of another, a video has
        no labels, or there is none to fit or to score.
    """
    names = list(map(str, files))
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice.")
    truth = read_labels(labels)
    with MatchedPredictions(files) as matched:
        for video_id in matched.video_ids:
            if video_id not in truth:
                raise ValueError(
                    f"The video {video_id!r} is predicted, but no label file "
                    "has it."
                )
        pairs = Pairs()
        for video in matched.read():
            if not settings.holds_out(video.video_id):
                pairs.add(video, truth[video.video_id])
        held_out = len(matched.video_ids) - len(pairs.video_ids)
        if settings.hold_out and not held_out:
            raise ValueError(
                f"hold_out={settings.hold_out} leaves no video to score."
            )
        fitted = _fit(pairs, names, settings)

        def is_scored(video_id: str) -> bool:
            return not settings.hold_out or settings.holds_out(video_id)

        scored = (v for v in matched.read() if is_scored(v.video_id))
        return fitted, _score(scored, truth, fitted, top_k)


def _fit(
    pairs: Pairs, files: Sequence[str], settings: FitSettings
) -> FittedWeights:
    scores, classes, labels = pairs.by_class()
    problem = _stacking if settings.method == "stacking" else _mixture
    fit = problem(scores.astype(np.float64), labels, settings.shrinkage)
    overall = fit(slice(None), None)
    by_class = {}
    if settings.method != "weights":
        found, starts = np.unique(classes, return_index=True)
        ends = [*starts[1:], len(classes)]
        for index, start, end in zip(found, starts, ends, strict=True):
            one = fit(slice(start, end), overall)
            by_class[str(index)] = one.tolist()
    return FittedWeights(
        settings.method,
        tuple(files),
        tuple(overall.tolist()),
        by_class,
        len(pairs.video_ids),
        sample_ids(pairs.video_ids),
    )


def _mixture(scores: np.ndarray, labels: np.ndarray, shrinkage: float) -> Fit:
    """Returns the fit of the weights of means."""
    inside = np.clip(scores, LEAST_SCORE, 1 - LEAST_SCORE)
    factors = np.where(labels[:, None], inside, 1 - inside)
    num_files = scores.shape[1]

    def fit(rows: slice, overall: np.ndarray | None) -> np.ndarray:
        used = factors[rows]
        counts = np.ones(len(used))
        if overall is not None:
            # Pairs that one file alone predicts, as often as it weighs.
            used = np.concatenate([used, np.eye(num_files)])
            counts = np.concatenate([counts, shrinkage * overall])
        return fit_mixture(used, counts)

    return fit


def _stacking(scores: np.ndarray, labels: np.ndarray, shrinkage: float) -> Fit:
    """Returns the fit of the coefficients of logits, the bias last."""
    ones = np.ones((len(scores), 1))
    inputs = np.concatenate([to_logits(scores), ones], axis=1)
    num_files = scores.shape[1]
    mean = np.append(np.full(num_files, 1 / num_files), 0.0)

    def fit(rows: slice, overall: np.ndarray | None) -> np.ndarray:
        centre = mean if overall is None else overall
        return fit_logistic(inputs[rows], labels[rows], centre, shrinkage)

    return fit


def _score(
    videos: Iterable[ListedScores],
    truth: dict[str, list[int]],
    fitted: FittedWeights,
    top_k: int,
) -> dict[str, dict[str, Any]]:
    """Returns the scores of the files, their mean and the combination."""
    mean = Combination()
    names = [*fitted.files, "mean", f"fitted {fitted.method}"]
    metrics = [ListedMetrics(top_k) for _ in names]
    for video in videos:
        alone = [
            VideoScores(
                video.video_id,
                video.classes[listed].tolist(),
                scores[listed].tolist(),
            )
            for scores, listed in zip(video.scores, video.listed, strict=True)
        ]
        combined = [mean.combine(video), fitted.combine(video)]
        for metric, each in zip(metrics, [*alone, *combined], strict=True):
            metric.update(each, truth[video.video_id])
    return {
        name: metric.result()
        for name, metric in zip(names, metrics, strict=True)
    }

"""Prediction files of the same videos combined to one, video by video.

A class that a file does not list counts as 0 there.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from distill.evaluation.prediction_files.files import (
    PREDICTION_HEADER,
    VideoScores,
    new_csv,
)
from distill.evaluation.prediction_files.matched_files import (
    IndexedPredictions,
    ListedScores,
    MatchedPredictions,
)
from distill.models.argument_checks import check_at_least, check_choice

COMBINATIONS = ("mean", "max", "rank_mean", "power_mean")
STD = "std"
# Prediction files have six decimals.
LEAST_SCORE = 1e-6
_RANK_STEPS = round(1 / LEAST_SCORE)


@dataclasses.dataclass(frozen=True)
class Combination:
    """A rule that makes one score of a class from those of several files.

    Attributes:
      method: `mean`; `max`, the greatest; `rank_mean`, the mean of ranks: the
        share of a file's listed scores that are not above the score;
        `power_mean`, `mean(score ** power) ** (1 / power)`.
      weights: One for each file, scaled to sum 1; `std` for the standard
        deviation of the scores that a file lists of the video; None for equal
        ones.
      power: Of `power_mean`: 1 is the mean, 0 the geometric mean, which is the
        limit; up to 0 a score below 1e-6, also one that is not listed, counts
        as 1e-6.
    """

    method: str = "mean"
    weights: Sequence[float] | str | None = None
    power: float | None = None

    def __post_init__(self) -> None:
        """Checks the fields against one another."""
        check_choice("combination", self.method, COMBINATIONS)
        if (self.power is None) != (self.method != "power_mean"):
            raise ValueError(
                "power is for the combination power_mean, which needs it; got "
                f"power={self.power} for {self.method}."
            )
        if self.power is not None and not np.isfinite(self.power):
            raise ValueError(f"power must be finite, got {self.power}.")
        if self.method == "max" and self.weights is not None:
            raise ValueError("weights are not for the combination max.")

    def combine(
        self, video: ListedScores, ranks: Sequence["Ranks"] = ()
    ) -> VideoScores:
        """Returns a video's classes with the combined scores.

        `ranks` are those of every file, for `rank_mean`.
        """
        scores = video.scores
        if self.method == "max":
            return video.with_scores(scores.max(axis=0))
        weights = self._weights(video)
        if self.method == "rank_mean":
            scores = np.stack(
                [rank(row) for rank, row in zip(ranks, scores, strict=True)]
            )
            scores = np.where(video.listed, scores, 0.0)
        if self.power is not None:
            return video.with_scores(_power_mean(scores, weights, self.power))
        return video.with_scores((weights[:, None] * scores).sum(axis=0))

    def _weights(self, video: ListedScores) -> np.ndarray:
        """Returns the weight of each file, `[files]`, of sum 1."""
        num_files = len(video.scores)
        if self.weights is None:
            return np.full(num_files, 1 / num_files)
        if self.weights != STD:
            weights = np.array(self.weights, np.float64)
            return weights / weights.sum()
        pairs = zip(video.scores, video.listed, strict=True)
        spread = np.array([s[on].std() if on.any() else 0.0 for s, on in pairs])
        total = spread.sum()
        return spread / total if total else np.full(num_files, 1 / num_files)


class Ranks:
    """Ranks of a file's scores, by a count of each of a million steps."""

    def __init__(self, source: IndexedPredictions):
        counts = np.zeros(_RANK_STEPS + 1, np.int64)
        for video_id in source.numbers:
            np.add.at(counts, _steps(source.read(video_id).scores), 1)
        # The rank of equal scores is that of the last of them.
        self._ranks = np.cumsum(counts) / max(counts.sum(), 1)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the share of the scores that are not above each, `[n]`."""
        return self._ranks[_steps(scores)]


def _steps(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(scores) * _RANK_STEPS).astype(np.int64)


def _power_mean(
    scores: np.ndarray, weights: np.ndarray, power: float
) -> np.ndarray:
    """Returns the weighted power means of columns, `[classes]`.

    Scores `[files, classes]` are divided by the greatest of each class, so
    that no power overflows.
    """
    if power <= 0:
        scores = np.maximum(scores, LEAST_SCORE)
    used = scores[weights > 0]
    weights = weights[weights > 0][:, None]
    extreme = used.max(axis=0) if power > 0 else used.min(axis=0)
    extreme = np.where(extreme > 0, extreme, 1.0)
    if power == 0:
        return np.exp((weights * np.log(used)).sum(axis=0))
    mean = (weights * (used / extreme) ** power).sum(axis=0)
    return extreme * mean ** (1 / power)


def combine_predictions(
    files: Sequence[str | Path],
    combination: Combination,
    output: str | Path,
    top_k: int = 20,
) -> int:
    """Writes the combination of CSVs of the same videos, atomically.

    The output has the `top_k` best classes of each video, in the order of the
    first file.

    Returns:
      The number of videos.

    Raises:
      ValueError: A line is wrong, or a file lacks a video of another.
    """
    with MatchedPredictions(files) as matched:
        ranks: list[Ranks] = []
        if combination.method == "rank_mean":
            ranks = [Ranks(source) for source in matched.sources]
        return write_combined(
            matched,
            lambda video: combination.combine(video, ranks),
            output,
            top_k,
        )


def write_combined(
    matched: MatchedPredictions,
    combine: Callable[[ListedScores], VideoScores],
    output: str | Path,
    top_k: int,
) -> int:
    """Writes the best classes of each combined video; returns their number."""
    check_at_least(1, top_k=top_k)
    with new_csv(output, PREDICTION_HEADER) as file:
        for video in matched.read():
            file.write(combine(video).best(top_k).to_csv())
    return len(matched.video_ids)

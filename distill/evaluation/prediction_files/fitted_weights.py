"""The file of weights that were fitted to rated videos, and their use."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.evaluation.prediction_files.combining import (
    LEAST_SCORE,
    write_combined,
)
from distill.evaluation.prediction_files.files import VideoScores
from distill.evaluation.prediction_files.matched_files import (
    ListedScores,
    MatchedPredictions,
)
from distill.evaluation.prediction_files.weight_fitting import sigmoid
from distill.models.argument_checks import check_choice
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object
from distill.system.storage import to_path
from distill.system.typed_json import is_of_type, read_dataclass

FITTED_METHODS = ("weights", "class_weights", "stacking")
_FORMAT = "distill-fitted-weights-1"
_MOST_BYTES = 64_000_000
# So many ids stand for the videos of a fit.
_MOST_IDS = 1024


@dataclasses.dataclass(frozen=True)
class FittedWeights:
    """Weights of several files' scores, fitted to the labels of some videos.

    Attributes:
      method: `weights`: one for each file; `class_weights`: one for each file
        and class; `stacking`: of each class a logistic regression on the
        logits of the files' scores.
      files: Names of the files, in the order of the weights.
      weights: One for each file; for `stacking` also, at the end, the bias.
      class_weights: The same of each class by its index as a text; a class
        without uses `weights`.
      num_videos: Videos that were fitted.
      fitted_ids: Hashes of these videos' ids, of the smallest few.
    """

    method: str
    files: tuple[str, ...]
    weights: tuple[float, ...]
    class_weights: Mapping[str, Any]
    num_videos: int
    fitted_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        """Checks the fields against one another."""
        check_choice("method", self.method, FITTED_METHODS)
        size = len(self.files) + (self.method == "stacking")
        rows = {"weights": list(self.weights), **self.class_weights}
        for name, row in rows.items():
            if not isinstance(row, list) or not all(
                is_of_type(float, weight) for weight in row
            ):
                raise ValueError(f"weights {name!r} must be a list of numbers")
            if len(row) != size:
                raise ValueError(
                    f"weights {name!r} must be {size} numbers, got {len(row)}"
                )
            if self.method != "stacking" and not (
                min(row) >= 0 and math.isclose(sum(row), 1, abs_tol=1e-6)
            ):
                raise ValueError(f"weights {name!r} must sum to 1, all >= 0")
            if name != "weights" and not name.isdecimal():
                raise ValueError(f"{name!r} is no class")

    def combine(self, video: ListedScores) -> VideoScores:
        """Returns a video's classes with the combined scores."""
        weights = np.array(
            [
                self.class_weights.get(str(index), self.weights)
                for index in video.classes.tolist()
            ]
        ).reshape(len(video.classes), -1)
        if self.method == "stacking":
            logits = to_logits(video.scores).T
            sums = (weights[:, :-1] * logits).sum(axis=1) + weights[:, -1]
            return video.with_scores(sigmoid(sums))
        return video.with_scores((weights.T * video.scores).sum(axis=0))

    def count_fitted(self, video_ids: Iterable[str]) -> int:
        """Returns how many ids are those of hashes of fitted videos."""
        fitted = set(self.fitted_ids)
        return sum(hash_id(video_id) in fitted for video_id in video_ids)

    def write(self, path: str | Path) -> None:
        """Writes the weights as JSON, atomically."""
        text = json.dumps(
            {"format": _FORMAT} | dataclasses.asdict(self), indent=1
        )
        with replace_atomically(path) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> "FittedWeights":
        """Reads the weights of a file.

        Raises:
          ValueError: The file does not exist, or does not hold such weights.
        """
        if not to_path(path).exists():
            raise ValueError(f"There is no file of fitted weights {path}.")
        try:
            fields = read_json_object(path, _MOST_BYTES)
            if fields.pop("format", None) != _FORMAT:
                raise ValueError(f'its "format" is not {_FORMAT!r}')
            return read_dataclass(cls, fields)
        except ValueError as error:
            text = str(error).removesuffix(".")
            raise ValueError(
                f"{path} holds no fitted weights: {text}."
            ) from error


def to_logits(scores: np.ndarray) -> np.ndarray:
    """Returns the logits of scores, which are first moved 1e-6 into (0, 1)."""
    inside = np.clip(scores, LEAST_SCORE, 1 - LEAST_SCORE)
    return np.log(inside) - np.log1p(-inside)


def hash_id(video_id: str, purpose: str = "") -> str:
    """Returns 16 hexadecimal digits of an id, other ones for each purpose."""
    return hashlib.blake2b(
        video_id.encode(errors="backslashreplace"),
        digest_size=8,
        person=purpose.encode(),
    ).hexdigest()


def sample_ids(video_ids: Iterable[str]) -> tuple[str, ...]:
    """Returns the smallest hashes of some ids, 1,024 at most.

    They are a sample that ids alone decide, so that videos of another file can
    be compared with it.
    """
    return tuple(sorted(map(hash_id, video_ids))[:_MOST_IDS])


def apply_fitted(
    files: Sequence[str | Path],
    fitted: FittedWeights,
    output: str | Path,
    top_k: int = 20,
    allow_fitted_videos: bool = False,
) -> tuple[int, str | None]:
    """Writes the combination of CSVs of the same videos, atomically.

    Returns:
      The number of videos, and a warning if some of them were fitted.

    Raises:
      ValueError: There are more or fewer files than weights, a line is wrong,
        a file lacks a video of another, or the weights were fitted to some of
        the videos and that is not allowed.
    """
    if len(files) != len(fitted.files):
        raise ValueError(
            f"The weights are fitted to {len(fitted.files)} files "
            f"({', '.join(fitted.files)}), got {len(files)} predictions."
        )
    with MatchedPredictions(files) as matched:
        warning = None
        known = fitted.count_fitted(matched.video_ids)
        if known:
            warning = (
                f"the weights were fitted to at least {known} of the "
                f"{len(matched.video_ids)} videos: scores of these are too good"
            )
            if not allow_fitted_videos:
                raise ValueError(
                    f"--fitted: {warning}. (--allow_fitted_videos writes them.)"
                )
        count = write_combined(matched, fitted.combine, output, top_k)
    return count, warning

"""GAP, Hit@1, PERR and mAP of prediction files against label files.

Memory holds the ids, the labels and the top k classes of each video: about a
kilobyte a video with 20 classes.
"""

import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.evaluation.prediction_files.files import (
    VideoScores,
    check_num_classes,
    read_labels,
    read_predictions,
)
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.average_precision import gap_and_map
from distill.models.argument_checks import check_at_least, check_choice

MISSING = ("error", "zero")
_ROWS = 256


class _TopKMetrics:
    """Metrics of videos whose prediction lines list only the best classes.

    A class that is not listed counts as not found. Classes of equal score rank
    in the order of the line.
    """

    def __init__(self, top_k: int):
        check_at_least(1, top_k=top_k)
        self.top_k = top_k
        self.num_videos = 0
        self._hits = 0
        self._perr = 0.0
        self._scores = array.array("f")
        self._classes = array.array("i")
        self._found = array.array("b")
        self._positives = array.array("i")

    def update(self, video: VideoScores, labels: list[int]) -> None:
        true = set(labels)
        ranked = video.best(max(self.top_k, len(true)))
        found = [index in true for index in ranked.classes]
        self.num_videos += 1
        self._hits += any(found[:1])
        self._perr += sum(found[: len(true)]) / max(len(true), 1)
        self._positives.extend(labels)
        k = self.top_k
        self._scores.extend(ranked.scores[:k])
        self._classes.extend(ranked.classes[:k])
        self._found.extend(found[:k])

    def result(self) -> dict[str, float]:
        scores, classes = np.array(self._scores), np.array(self._classes)
        found = np.array(self._found, bool)
        positives = np.array(self._positives)
        most = max(classes.max(initial=0), positives.max(initial=0))
        num_positives = np.bincount(positives, minlength=most + 1)
        gap, map_at_k = gap_and_map(
            scores[found],
            classes[found],
            [(scores[~found], classes[~found])],
            num_positives,
        )
        return {
            "gap": gap,
            "hit_at_one": self._hits / self.num_videos,
            "perr": self._perr / self.num_videos,
            "mean_average_precision_at_k": map_at_k,
        }


class _ExactMap:
    """mAP of every score, available if every line lists all classes.

    Without `num_classes` there are as many as the first line lists.
    """

    def __init__(self, num_classes: int | None):
        self._num_classes = num_classes
        self._metrics: VideoMetrics | None = VideoMetrics()
        self._rows: list[tuple[VideoScores, list[int]]] = []

    def update(self, video: VideoScores, labels: list[int]) -> None:
        if self._metrics is None:
            return
        if self._num_classes is None:
            self._num_classes = len(video.classes)
        # A line lists a class once: so many below the bound are all classes.
        greatest = max((*video.classes, *labels), default=0)
        if not len(video.classes) == self._num_classes > greatest:
            self._metrics = None
            self._rows.clear()
            return
        self._rows.append((video, labels))
        if len(self._rows) == _ROWS:
            self._flush(self._metrics)

    def _flush(self, metrics: VideoMetrics) -> None:
        shape = (len(self._rows), self._num_classes or 0)
        predictions = np.zeros(shape, np.float32)
        truth = np.zeros(shape, np.bool_)
        for row, (video, labels) in enumerate(self._rows):
            predictions[row, video.classes] = video.scores
            truth[row, labels] = True
        metrics.update(predictions, truth)
        self._rows.clear()

    def result(self) -> dict[str, float]:
        if self._metrics is None:
            return {}
        if self._rows:
            self._flush(self._metrics)
        name = "mean_average_precision"
        return {name: self._metrics.result()[name]}


class ListedMetrics:
    """Metrics of videos of lines: of the listed classes, and exact mAP.

    `top_k` classes a video enter GAP and mAP at k; `num_classes` is None if it
    is not known.
    """

    def __init__(self, top_k: int, num_classes: int | None = None):
        self._top, self._exact = _TopKMetrics(top_k), _ExactMap(num_classes)

    @property
    def num_videos(self) -> int:
        """The number of videos so far."""
        return self._top.num_videos

    def update(self, video: VideoScores, labels: list[int]) -> None:
        """Adds a video and its true classes."""
        self._top.update(video, labels)
        self._exact.update(video, labels)

    def result(self) -> dict[str, Any]:
        """Returns the scores as `score_predictions` does, of these videos."""
        numbers = {"num_videos": self.num_videos, "top_k": self._top.top_k}
        return self._top.result() | self._exact.result() | numbers


def score_predictions(
    predictions: Iterable[str | Path],
    labels: Iterable[str | Path],
    *,
    top_k: int = 20,
    num_classes: int | None = None,
    missing: str = "error",
) -> dict[str, Any]:
    """Scores prediction files against label files.

    `top_k` classes a video enter GAP and mAP at k; `num_classes` is None if it
    is not known. A labelled video without a prediction is an error, or, where
    `missing` is `zero`, counts as one without found classes.

    Returns:
      Dict of `gap`, `hit_at_one`, `perr`, `mean_average_precision_at_k` (those
      of `VideoMetrics` if the lines list as many classes as these use),
      `top_k`, `num_videos`, `num_missing` (labelled videos without a
      prediction) and, if every line lists all classes,
      `mean_average_precision` of every score.

    Raises:
      ValueError: A line is wrong, a predicted video has no labels, or a
        labelled video has no prediction.
    """
    check_choice("missing", missing, MISSING)
    check_num_classes(num_classes)
    truth = read_labels(labels, num_classes)
    metrics = ListedMetrics(top_k, num_classes)
    for video in read_predictions(predictions, num_classes):
        if video.video_id not in truth:
            raise ValueError(
                f"The video {video.video_id!r} is predicted, but no label file "
                "has it."
            )
        found = truth.pop(video.video_id)
        metrics.update(video, found)
    if truth and missing == "error":
        raise ValueError(
            f"{len(truth)} labelled videos have no prediction, such as "
            f"{next(iter(truth))!r}. (--missing=zero counts them as videos "
            "without found classes.)"
        )
    for video_id, found in truth.items():
        metrics.update(VideoScores(video_id, [], []), found)
    if not metrics.num_videos:
        raise ValueError("The prediction and label files hold no video.")
    return metrics.result() | {"num_missing": len(truth)}


def missing_note(scores: Mapping[str, Any]) -> str:
    """Returns a line that names the limits of the scores, or an empty text."""
    notes = []
    if "mean_average_precision" not in scores:
        notes.append(
            "mAP and PERR use the classes that a line lists; exact mAP needs "
            "lines of all classes."
        )
    if scores["num_missing"]:
        notes.append(
            f"{scores['num_missing']} videos without a prediction count as "
            "videos without found classes."
        )
    return " ".join(notes)

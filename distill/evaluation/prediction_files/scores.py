"""GAP, Hit@1, PERR and mAP of prediction files against label files.

In memory are the ids, the labels and the top k classes of each video: about a
kilobyte a video with 20 classes.
"""

import array
import json
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
from distill.metrics.average_precision import PrecisionCounters
from distill.models.argument_checks import check_at_least, check_choice
from distill.system.atomic_files import replace_atomically

MISSING = ("error", "zero")
_ROWS = 256


class ListedMetrics:
    """The metrics of videos of which the best classes are listed.

    A class that a line does not list is not found, whatever its score was.
    Classes of equal score rank as the line has them.

    Args:
      top_k: Classes a video that enter GAP and mAP at k.
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
        """Adds a video; without classes it counts as no prediction."""
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
        """Returns `gap`, `hit_at_one`, `perr`, `mean_average_precision_at_k`.

        Equal to those of `VideoMetrics` where a line lists as many classes as
        they see; all 0 without videos.
        """
        names = ("gap", "hit_at_one", "perr", "mean_average_precision_at_k")
        if not self.num_videos:
            return dict.fromkeys(names, 0.0)
        scores, classes = np.array(self._scores), np.array(self._classes)
        found = np.array(self._found, bool)
        positives = np.array(self._positives)
        most = max(classes.max(initial=0), positives.max(initial=0))
        num_positives = np.bincount(positives, minlength=most + 1)
        pooled = PrecisionCounters(scores[found])
        pooled.add(scores[~found])
        by_class = PrecisionCounters(scores[found], classes[found], most + 1)
        others, of_class = scores[~found], classes[~found]
        order = np.argsort(of_class, kind="stable")
        starts = np.searchsorted(of_class[order], np.arange(most + 2))
        for index in np.unique(classes[found]):
            places = order[starts[index] : starts[index + 1]]
            by_class.add(others[places], index)
        held = num_positives > 0
        precisions = by_class.result(num_positives)[held]
        values = (
            pooled.result(np.array([len(positives)]))[0],
            self._hits / self.num_videos,
            self._perr / self.num_videos,
            precisions.mean() if precisions.size else 0.0,
        )
        return dict(zip(names, map(float, values), strict=True))


class ExactMap:
    """mAP of every score, as long as every line lists all classes.

    Args:
      num_classes: How many there are; None: as many as the first line lists.
    """

    def __init__(self, num_classes: int | None):
        self._num_classes = num_classes
        self._metrics: VideoMetrics | None = VideoMetrics()
        self._rows: list[tuple[VideoScores, list[int]]] = []

    def update(self, video: VideoScores, labels: list[int]) -> None:
        """Adds a video."""
        if self._metrics is None:
            return
        if self._num_classes is None:
            self._num_classes = len(video.classes)
        # Each class comes once: with so many below the bound all are there.
        is_whole = (
            len(video.classes)
            == self._num_classes
            > max((*video.classes, *labels), default=0)
        )
        if not is_whole:
            self._metrics = None
            self._rows.clear()
            return
        self._rows.append((video, labels))
        if len(self._rows) == _ROWS:
            self._flush()

    def _flush(self) -> None:
        shape = (len(self._rows), self._num_classes)
        predictions, truth = np.zeros(shape, np.float32), np.zeros(shape, bool)
        for row, (video, labels) in enumerate(self._rows):
            predictions[row, video.classes] = video.scores
            truth[row, labels] = True
        self._metrics.update(predictions, truth)
        self._rows.clear()

    def result(self) -> dict[str, float]:
        """Returns `mean_average_precision`, if no line left a class out."""
        if self._metrics is None:
            return {}
        if self._rows:
            self._flush()
        name = "mean_average_precision"
        return {name: self._metrics.result()[name]}


def score_predictions(
    predictions: Iterable[str | Path],
    labels: Iterable[str | Path],
    *,
    top_k: int = 20,
    num_classes: int | None = None,
    missing: str = "error",
) -> dict[str, Any]:
    """Scores prediction files against label files.

    Args:
      predictions: Prediction CSVs.
      labels: Label CSVs.
      top_k: Classes a video that enter GAP and mAP at k.
      num_classes: Classes are from 0 to one less; None: not known.
      missing: `error`, or `zero`: a labelled video without a prediction counts
        as one of which nothing was found.

    Returns:
      Dict of the metrics of `ListedMetrics`, `top_k`, `num_videos`,
      `num_missing` (videos counted without a prediction) and, where every
      line lists all classes, `mean_average_precision` of every score.

    Raises:
      ValueError: A line is wrong, a predicted video has no labels, or a
        labelled one no prediction.
    """
    check_choice("missing", missing, MISSING)
    check_num_classes(num_classes)
    truth = read_labels(labels, num_classes)
    metrics, exact = ListedMetrics(top_k), ExactMap(num_classes)
    for video in read_predictions(predictions, num_classes):
        if video.video_id not in truth:
            raise ValueError(
                f"The video {video.video_id!r} is predicted, but in no file of "
                "labels."
            )
        found = truth.pop(video.video_id)
        metrics.update(video, found)
        exact.update(video, found)
    if truth and missing == "error":
        raise ValueError(
            f"{len(truth)} labelled videos have no prediction, such as "
            f"{next(iter(truth))!r}. (--missing=zero counts them as videos of "
            "which nothing was found.)"
        )
    for video_id, found in truth.items():
        nothing = VideoScores(video_id, [], [])
        metrics.update(nothing, found)
        exact.update(nothing, found)
    num_videos = metrics.num_videos
    if not num_videos:
        raise ValueError("The files of predictions and labels hold no video.")
    numbers = {"num_videos": num_videos, "num_missing": len(truth)}
    scores = metrics.result() | exact.result()
    return scores | numbers | {"top_k": top_k}


def missing_note(scores: Mapping[str, Any]) -> str:
    """Returns a line that says what the scores do not cover."""
    notes = []
    if "mean_average_precision" not in scores:
        notes.append(
            "mAP and PERR are those of the classes each line lists; exact mAP "
            "needs lines of all classes."
        )
    if scores["num_missing"]:
        notes.append(
            f"{scores['num_missing']} videos without a prediction count as "
            "ones of which nothing was found."
        )
    return " ".join(notes)


def write_scores(path: str | Path, scores: Mapping[str, Any]) -> None:
    """Writes scores as JSON, whole or not at all."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(dict(scores), indent=2) + "\n")

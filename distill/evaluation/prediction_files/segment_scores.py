"""Segment mAP of a `Class,Segments` file against rated segments.

YouTube-8M Segments (2019), `segment_eval_inference.py` of the starter code.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.evaluation.prediction_files.segment_files import (
    RATINGS_HEADER,
    SEGMENTS_HEADER,
    read_header,
    read_ratings,
    read_segments,
)
from distill.models.argument_checks import check_at_least


def are_of_segments(
    predictions: Sequence[str | Path], labels: Sequence[str | Path]
) -> bool:
    """Returns whether files of predictions and labels are of segments.

    Raises:
      ValueError: The ones are of segments, the others of videos.
    """
    ranked = read_header(predictions[0]) == SEGMENTS_HEADER
    rated = read_header(labels[0]) == RATINGS_HEADER
    if ranked and not rated:
        raise ValueError(
            f"{predictions[0]} ranks segments, but {labels[0]} holds no "
            f"ratings of segments ({RATINGS_HEADER!r}), which `distill "
            "write_labels --segment_labels` writes."
        )
    if rated and not ranked:
        raise ValueError(
            f"{labels[0]} holds ratings of segments, but {predictions[0]} is "
            f"no file of segments ({SEGMENTS_HEADER!r}), which `distill infer "
            "--segment_labels` or `distill merge_segments` writes."
        )
    return ranked


def score_segments(
    segments: Iterable[str | Path],
    ratings: Iterable[str | Path],
    top_n: int = 0,
    num_classes: int | None = None,
) -> dict[str, Any]:
    """Scores files of segments, best first for each class, against ratings.

    The average precision of a class is over the rated ones among its first
    `top_n` segments (0: all), divided by the number of all positive ratings of
    the class; a class without any has 0. `num_classes` is None if it is not
    known.

    Returns:
      Dict of `segment_mean_average_precision`, the mean over the classes that
      have a line, `num_classes` (these classes), `num_rated` (rated pairs of
      segment and class) and `top_n`.

    Raises:
      ValueError: A line is wrong, or a class has two.
    """
    check_at_least(0, top_n=top_n)
    truth = read_ratings(ratings, num_classes)
    precisions = [
        _average_precision(
            line.segments[: top_n or None], truth.get(line.label, {})
        )
        for line in read_segments(segments, num_classes)
    ]
    if not precisions:
        raise ValueError("The files of segments hold no class.")
    return {
        "segment_mean_average_precision": sum(precisions) / len(precisions),
        "num_classes": len(precisions),
        "num_rated": sum(map(len, truth.values())),
        "top_n": top_n,
    }


def _average_precision(
    ranked: Iterable[str], rated: Mapping[str, bool]
) -> float:
    found, total = 0, 0.0
    known = (rated[segment] for segment in ranked if segment in rated)
    for rank, positive in enumerate(known, start=1):
        if positive:
            found += 1
            total += found / rank
    return total / max(sum(rated.values()), 1)

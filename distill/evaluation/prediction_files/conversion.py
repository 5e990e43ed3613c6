"""Predictions as JSON lines, from batch prediction or a server, to CSV."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distill.evaluation.prediction_files.files import (
    PREDICTION_HEADER,
    VideoScores,
    at_line,
    check_new,
    check_num_classes,
    new_csv,
    to_classes,
    to_scores,
)
from distill.models.argument_checks import check_at_least
from distill.system.named_reads import open_bytes


def convert_predictions(
    files: Iterable[str | Path],
    output: str | Path,
    *,
    top_k: int = 20,
    num_classes: int | None = None,
) -> int:
    """Writes the predictions of JSON lines as CSV, atomically.

    Empty lines are skipped. `num_classes` is None if it is not known.

    Returns:
      The number of videos.

    Raises:
      ValueError: A line is wrong; the message names the file and the line.
    """
    check_at_least(1, top_k=top_k)
    check_num_classes(num_classes)
    seen: set[str] = set()
    with new_csv(output, PREDICTION_HEADER) as written:
        for path in files:
            with open_bytes(path) as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        with at_line(path, number):
                            for video in parse_json_line(line, num_classes):
                                check_new(video.video_id, seen)
                                seen.add(video.video_id)
                                written.write(video.best(top_k).to_csv())
    return len(seen)


def parse_json_line(
    line: str | bytes, num_classes: int | None = None
) -> list[VideoScores]:
    """Parses an object of `video_id`, `class_indexes` and their scores.

    The scores are `probabilities`, or else `predictions`. `predictions` beside
    `probabilities` are the scores of all classes, and are ignored. Each of them
    may be a batch, a list with an element per video, as some services write
    them. A line of another form is a ValueError.
    """
    try:
        fields = json.loads(line)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"the line is not JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise ValueError(
            f"the line must be an object, got a {type(fields).__name__}."
        )
    scored = "probabilities" if "probabilities" in fields else "predictions"
    columns: dict[str, Any] = {
        name: fields.get(name) for name in ("video_id", "class_indexes", scored)
    }
    if not isinstance(columns["video_id"], list):
        return [_parse_video(columns, num_classes)]
    for name, column in columns.items():
        if not isinstance(column, list):
            raise ValueError(f'"{name}" must be a list, as "video_id" is.')
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"the lists differ in their number of videos: {lengths}."
        )
    return [
        _parse_video(dict(zip(columns, row, strict=True)), num_classes)
        for row in zip(*columns.values(), strict=True)
    ]


def _parse_video(
    fields: dict[str, Any], num_classes: int | None
) -> VideoScores:
    """Checks the id, the classes and the scores of one video, in this order."""
    (_, video_id), *lists = fields.items()
    if not isinstance(video_id, str) or len(video_id.splitlines()) != 1:
        raise ValueError(
            f'"video_id" must be a text of one line, got {video_id!r}.'
        )
    for name, values in lists:
        if not isinstance(values, list):
            raise ValueError(f'"{name}" must be a list.')
    (_, classes), (scored, scores) = lists
    if len(classes) != len(scores):
        raise ValueError(
            f'"class_indexes" and "{scored}" must have the same length, got '
            f"{len(classes)} and {len(scores)}."
        )
    return VideoScores(
        video_id, to_classes(classes, num_classes), to_scores(scores)
    )

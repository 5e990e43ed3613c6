"""Predictions as JSON lines, of batch prediction or a server, to the CSV."""

import json
from collections.abc import Iterable
from pathlib import Path

from distill.evaluation.prediction_files.files import (
    PREDICTION_HEADER,
    VideoScores,
    check_new,
    check_num_classes,
    name_place,
    to_classes,
    to_scores,
)
from distill.models.argument_checks import check_at_least
from distill.system.atomic_files import replace_atomically


def convert_predictions(
    files: Iterable[str | Path],
    output: str | Path,
    *,
    top_k: int = 20,
    num_classes: int | None = None,
) -> int:
    """Writes the predictions of JSON lines as CSV, whole or not at all.

    Args:
      files: JSON lines; empty lines are passed over.
      output: The CSV to write.
      top_k: Classes a video, best first.
      num_classes: Classes are from 0 to one less; None: 0 or more.

    Returns:
      The number of videos.

    Raises:
      ValueError: A line is wrong, with the file and the line.
    """
    check_at_least(1, top_k=top_k)
    check_num_classes(num_classes)
    seen: set[str] = set()

    def parse(line):
        return parse_json_line(line, num_classes)

    with (
        replace_atomically(output) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as written,
    ):
        written.write(f"{PREDICTION_HEADER}\n")
        for path in files:
            with open(path, "rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        video = name_place(path, number, parse, line)
                        check_new(path, number, video.video_id, seen)
                        written.write(video.best(top_k).to_csv())
    return len(seen)


def parse_json_line(
    line: str | bytes, num_classes: int | None = None
) -> VideoScores:
    """Returns what a line says of a video.

    Args:
      line: An object of `video_id`, `class_indexes` and their scores:
        `probabilities`, beside which `predictions` are those of all classes,
        or else `predictions`.
      num_classes: Classes are from 0 to one less; None: 0 or more.

    Raises:
      ValueError: It is no such object.
    """
    try:
        fields = json.loads(line)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"it is no JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise ValueError(
            f"it must be an object, got a {type(fields).__name__}."
        )
    video_id = fields.get("video_id")
    if not isinstance(video_id, str) or not video_id:
        raise ValueError(f'"video_id" must be a text, got {video_id!r}.')
    if len(video_id.splitlines()) != 1:
        raise ValueError(f'"video_id" must be one line, got {video_id!r}.')
    scored = "probabilities" if "probabilities" in fields else "predictions"
    for name in ("class_indexes", scored):
        if not isinstance(fields.get(name), list):
            raise ValueError(f'"{name}" must be a list.')
    numbers = [len(fields[name]) for name in ("class_indexes", scored)]
    if numbers[0] != numbers[1]:
        raise ValueError(
            f'"class_indexes" and "{scored}" must be equally many, got '
            f"{numbers[0]} and {numbers[1]}."
        )
    return VideoScores(
        video_id,
        to_classes(fields["class_indexes"], num_classes),
        to_scores(fields[scored]),
    )

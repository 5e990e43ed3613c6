"""Scores files of predictions against files of labels."""

import dataclasses

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, require, specs
from distill.models.options import option


@dataclasses.dataclass(frozen=True)
class ScoreFlags:
    """Flags of the scores."""

    predictions: str | None = option(
        None, "Globs of prediction CSV files, comma-separated."
    )
    labels: str | None = option(
        None,
        "Globs of label CSV files (`distill write_labels`), comma-separated.",
    )
    top_k: int = option(20, "Classes a video in GAP and mAP at k.")
    num_classes: int | None = option(
        None, "Number of classes, to check against."
    )
    missing: str = option(
        "error",
        "A labelled video without a prediction is an error, or counts as a "
        "video without any predicted class (zero).",
        choices=("error", "zero"),
    )
    metrics_file: str | None = option(None, "JSON file for the metrics.")


FLAG_GROUPS = (specs(ScoreFlags),)


def main() -> None:
    """Scores the files and prints the table."""
    require("predictions", "labels")

    from distill.evaluation.metrics_files import print_scores, write_metrics
    from distill.evaluation.prediction_files.files import match_files
    from distill.evaluation.prediction_files.scores import (
        missing_note,
        score_predictions,
    )

    scores = score_predictions(
        match_files(FLAGS.predictions, "predictions"),
        match_files(FLAGS.labels, "labels"),
        top_k=FLAGS.top_k,
        num_classes=FLAGS.num_classes,
        missing=FLAGS.missing,
    )
    scores = {"checkpoint": FLAGS.predictions, "role": "predictions"} | scores
    print_scores([scores])
    note = missing_note(scores)
    if note:
        print(note)
    if FLAGS.metrics_file:
        write_metrics(FLAGS.metrics_file, scores)
        write_flags(FLAGS.metrics_file)

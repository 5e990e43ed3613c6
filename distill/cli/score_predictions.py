"""Scores files of predictions against files of labels."""

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag("predictions", "Globs of prediction CSV files, comma-separated."),
    Flag(
        "labels",
        "Globs of label CSV files (`distill write_labels`), comma-separated.",
    ),
    Flag("top_k", "Classes a video in GAP and mAP at k.", int, 20),
    Flag("num_classes", "Number of classes, to check against.", int),
    Flag(
        "missing",
        "A labelled video without a prediction is an error, or counts as a "
        "video without any predicted class (zero).",
        default="error",
        choices=("error", "zero"),
    ),
    Flag("metrics_file", "JSON file for the metrics."),
)
FLAG_GROUPS = (OWN_FLAGS,)


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

"""Scores files of predictions against files of labels or ratings."""

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "predictions",
        "Globs of prediction CSV files, comma-separated: of videos, or of "
        "segments (Class,Segments).",
    ),
    Flag(
        "labels",
        "Globs of CSV files of labels, or of segments' ratings (`distill "
        "write_labels`), comma-separated.",
    ),
    Flag(
        "top_n",
        "Segments of each class that count, the best first; 0: all.",
        int,
        0,
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
    from distill.evaluation.prediction_files.segment_scores import (
        are_of_segments,
        score_segments,
    )

    predictions = match_files(FLAGS.predictions, "predictions")
    labels = match_files(FLAGS.labels, "labels")
    note = ""
    if are_of_segments(predictions, labels):
        scores = score_segments(
            predictions, labels, FLAGS.top_n, FLAGS.num_classes
        )
    else:
        scores = score_predictions(
            predictions,
            labels,
            top_k=FLAGS.top_k,
            num_classes=FLAGS.num_classes,
            missing=FLAGS.missing,
        )
        note = missing_note(scores)
    scores = {"checkpoint": FLAGS.predictions, "role": "predictions"} | scores
    print_scores([scores])
    if note:
        print(note)
    if FLAGS.metrics_file:
        write_metrics(FLAGS.metrics_file, scores)
        write_flags(FLAGS.metrics_file)

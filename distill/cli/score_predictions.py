"""Scores prediction CSV files against label CSV files."""

from absl import flags

from distill.cli import data_settings
from distill.cli.entry_point import run, write_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flags.DEFINE_string(
        "predictions", None, "Globs of prediction CSV files, comma-separated."
    )
    flags.DEFINE_string(
        "labels",
        None,
        "Globs of label CSV files (distill write_labels), comma-separated.",
    )
    flags.DEFINE_integer("top_k", 20, "Classes a video in GAP and mAP at k.")
    flags.DEFINE_integer(
        "num_classes", None, "Number of classes, to check against."
    )
    flags.DEFINE_enum(
        "missing",
        "error",
        ["error", "zero"],
        "A labelled video without a prediction: an error, or counted as one "
        "of which nothing was found.",
    )
    flags.DEFINE_string("metrics_file", None, "JSON file for the metrics.")


def main() -> None:
    """Scores the files and prints the table."""
    data_settings.require("predictions", "labels")

    from distill.evaluation.prediction_files.files import match_files
    from distill.evaluation.prediction_files.scores import (
        missing_note,
        score_predictions,
        write_scores,
    )
    from distill.reporting.console import print_scores

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
        write_scores(FLAGS.metrics_file, scores)
        write_flags(FLAGS.metrics_file)


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

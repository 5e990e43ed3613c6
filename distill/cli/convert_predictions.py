"""Converts predictions from JSON lines to the prediction CSV."""

from absl import flags

from distill.cli import data_settings
from distill.cli.entry_point import run, write_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flags.DEFINE_string(
        "predictions",
        None,
        "Globs of files of JSON lines, comma-separated: objects of video_id, "
        "class_indexes and predictions or probabilities.",
    )
    flags.DEFINE_integer("top_k", 20, "Classes a video that are written.")
    flags.DEFINE_integer(
        "num_classes", None, "Number of classes, to check against."
    )
    flags.DEFINE_string("output_file", None, "The CSV file to write.")


def main() -> None:
    """Writes the CSV and says of how many videos."""
    data_settings.require("predictions", "output_file")

    from distill.evaluation.prediction_files.conversion import (
        convert_predictions,
    )
    from distill.evaluation.prediction_files.files import match_files

    count = convert_predictions(
        match_files(FLAGS.predictions, "predictions"),
        FLAGS.output_file,
        top_k=FLAGS.top_k,
        num_classes=FLAGS.num_classes,
    )
    write_flags(FLAGS.output_file)
    print(f"wrote the predictions of {count} videos to {FLAGS.output_file}")


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

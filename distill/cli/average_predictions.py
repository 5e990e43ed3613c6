"""Averages prediction CSV files of the same videos."""

from absl import flags

from distill.cli import data_settings
from distill.cli.entry_point import run, write_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flags.DEFINE_list(
        "predictions", None, "Prediction CSV files, comma-separated."
    )
    flags.DEFINE_list(
        "weights",
        None,
        "Weight of each file, scaled to sum 1; default: equal ones.",
    )
    flags.DEFINE_integer("top_k", 20, "Classes a video that are written.")
    flags.DEFINE_string("output_file", None, "The CSV file to write.")


def main() -> None:
    """Writes the mean and says of how many videos."""
    data_settings.require("predictions", "output_file")

    from distill.evaluation.prediction_files.averaging import (
        average_predictions,
    )
    from distill.networks.ensemble_file import parse_weights

    files = FLAGS.predictions
    count = average_predictions(
        files,
        parse_weights(FLAGS.weights, len(files), "predictions"),
        FLAGS.output_file,
        FLAGS.top_k,
    )
    write_flags(FLAGS.output_file)
    print(f"wrote the mean of {count} videos to {FLAGS.output_file}")


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

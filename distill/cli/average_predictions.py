"""Averages files of predictions."""

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, Flag, require, specs
from distill.settings.run_options import RunOptions

OWN_FLAGS = (
    Flag(
        "predictions", "Prediction CSV files, comma-separated.", tuple[str, ...]
    ),
    Flag(
        "weights",
        "Weight of each file, scaled to sum 1. Default: equal weights.",
        tuple[str, ...],
    ),
    Flag("output_file", "The CSV file to write."),
)
FLAG_GROUPS = (OWN_FLAGS, specs(RunOptions, "top_k"))


def main() -> None:
    """Writes the mean and says of how many videos."""
    require("predictions", "output_file")

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

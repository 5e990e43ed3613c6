"""Averages files of predictions."""

import dataclasses

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, require, specs
from distill.models.options import option


@dataclasses.dataclass(frozen=True)
class AverageFlags:
    """Flags of the average."""

    predictions: tuple[str, ...] | None = option(
        None, "Prediction CSV files, comma-separated."
    )
    weights: tuple[str, ...] | None = option(
        None, "Weight of each file, scaled to sum 1. Default: equal weights."
    )
    top_k: int = option(20, "Classes a video that are written.")
    output_file: str | None = option(None, "The CSV file to write.")


FLAG_GROUPS = (specs(AverageFlags),)


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

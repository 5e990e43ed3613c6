"""Converts predictions in JSON lines to the CSV of inference."""

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, Flag, require, specs
from distill.settings.run_options import RunOptions

OWN_FLAGS = (
    Flag(
        "predictions",
        "Globs of files of JSON lines, comma-separated: objects of video_id, "
        "class_indexes and predictions or probabilities.",
    ),
    Flag("num_classes", "Number of classes, to check against.", int),
    Flag("output_file", "The CSV file to write."),
)
FLAG_GROUPS = (OWN_FLAGS, specs(RunOptions, "top_k"))


def main() -> None:
    """Writes the CSV and says of how many videos."""
    require("predictions", "output_file")

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

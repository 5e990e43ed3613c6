"""Converts predictions in JSON lines to the CSV of inference."""

import dataclasses

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, require, specs
from distill.models.options import option


@dataclasses.dataclass(frozen=True)
class ConvertFlags:
    """Flags of the conversion."""

    predictions: str | None = option(
        None,
        "Globs of files of JSON lines, comma-separated: objects of video_id, "
        "class_indexes and predictions or probabilities.",
    )
    top_k: int = option(20, "Classes a video that are written.")
    num_classes: int | None = option(
        None, "Number of classes, to check against."
    )
    output_file: str | None = option(None, "The CSV file to write.")


FLAG_GROUPS = (specs(ConvertFlags),)


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

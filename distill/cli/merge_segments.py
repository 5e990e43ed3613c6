"""Merges the files of segments that the processes of --shard wrote."""

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "predictions",
        "Globs of the files with scores (`distill infer --segment_labels "
        "--shard=i,n`), comma-separated.",
    ),
    Flag(
        "segment_max_per_class",
        "Most segments written of each class.",
        int,
        100_000,
    ),
    Flag("output_file", "The CSV file to write: Class,Segments."),
)
FLAG_GROUPS = (OWN_FLAGS,)


def main() -> None:
    """Writes the best segments of every class."""
    require("predictions", "output_file")

    from distill.evaluation.prediction_files.files import match_files
    from distill.evaluation.prediction_files.segment_files import (
        merge_segments,
    )

    files = match_files(FLAGS.predictions, "predictions")
    count = merge_segments(
        files, FLAGS.output_file, FLAGS.segment_max_per_class
    )
    write_flags(FLAGS.output_file)
    print(
        f"wrote the best segments of {count} classes, of {len(files)} files, "
        f"to {FLAGS.output_file}"
    )

"""Prints the scores of several networks as one table."""

from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "metrics_files",
        "Comma-separated NAME=FILE, each a file of --metrics_file; for one of "
        "--role=both NAME=FILE:teacher or NAME=FILE:student.",
        tuple[str, ...],
    ),
)
FLAG_GROUPS = (OWN_FLAGS,)


def main() -> None:
    """Reads the files and prints the table."""
    require("metrics_files")

    from distill.evaluation.metrics_files import (
        print_comparison,
        read_named_scores,
    )

    print_comparison(read_named_scores(FLAGS.metrics_files))

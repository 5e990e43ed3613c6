"""Prints several networks' metrics files as one table."""

from absl import flags

from distill.cli import data_settings
from distill.cli.entry_point import run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flags.DEFINE_list(
        "metrics_files",
        None,
        "Comma-separated NAME=FILE, each a file of --metrics_file; for one of "
        "--role=both NAME=FILE:teacher or NAME=FILE:student.",
    )


def main() -> None:
    """Reads the files and prints the table."""
    data_settings.require("metrics_files")

    from distill.reporting.console import print_comparison, read_named_scores

    print_comparison(read_named_scores(FLAGS.metrics_files))


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

"""Prints the scores of several networks as one table."""

import dataclasses

from distill.cli.settings_flags import FLAGS, require, specs
from distill.models.options import option


@dataclasses.dataclass(frozen=True)
class CompareFlags:
    """Flags of the comparison."""

    metrics_files: tuple[str, ...] | None = option(
        None,
        "Comma-separated NAME=FILE, each a file of --metrics_file; for one of "
        "--role=both NAME=FILE:teacher or NAME=FILE:student.",
    )


FLAG_GROUPS = (specs(CompareFlags),)


def main() -> None:
    """Reads the files and prints the table."""
    require("metrics_files")

    from distill.evaluation.metrics_files import (
        print_comparison,
        read_named_scores,
    )

    print_comparison(read_named_scores(FLAGS.metrics_files))

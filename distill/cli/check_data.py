"""Checks every record of a data set and writes a report on it.

Exits with status 1 if anything is bad.
"""

import os
import time

from absl import flags

from distill.cli import data_settings, flag_sets, flag_settings
from distill.cli.entry_point import run, start_tensorflow
from distill.models.frame_budget import ALL_FRAMES

FLAGS = flags.FLAGS

_SPLITS = ("train", "eval", "test")


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_layout_flags()
    flag_sets.define_budget_flags()
    flags.DEFINE_string(
        "train_data_pattern", None, "Globs of training files, comma-separated."
    )
    flags.DEFINE_string(
        "eval_data_pattern", None, "Globs of the files to score on."
    )
    flags.DEFINE_string(
        "test_data_pattern",
        None,
        "Globs of the files to predict, which need no labels.",
    )
    flags.DEFINE_string(
        "output_dir",
        None,
        "Where the report goes; an earlier one's files are replaced.",
    )
    flags.DEFINE_integer(
        "num_processes",
        os.cpu_count(),
        "Files to read at once, each by a process of its own.",
    )


def main() -> int:
    """Checks the splits, prints the table and writes the report."""
    data_settings.require("output_dir")
    patterns = {name: FLAGS[f"{name}_data_pattern"].value for name in _SPLITS}
    patterns = {name: text for name, text in patterns.items() if text}
    if not patterns:
        names = " or ".join(f"--{name}_data_pattern" for name in _SPLITS)
        raise ValueError(f"Give a value to {names}.")
    schema = data_settings.data_schema()
    budget = flag_settings.frame_budget(ALL_FRAMES).at_evaluation()

    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.datasets.check.check import Split, check_splits
    from distill.datasets.check.file_check import Expected
    from distill.datasets.check.report import make_directory, write_report
    from distill.datasets.check.tables import print_findings, show_progress

    splits = {
        name: Split(
            find_files(pattern), Expected(schema, name != "test", budget)
        )
        for name, pattern in patterns.items()
    }
    make_directory(FLAGS.output_dir)
    started = time.monotonic()
    with show_progress(splits) as observe:
        found = check_splits(splits, FLAGS.num_processes, observe)
    seconds = time.monotonic() - started
    files = write_report(found, FLAGS.output_dir)
    print_findings(found, seconds)
    print(f"wrote {', '.join(files)} to {FLAGS.output_dir}")
    return int(found.is_bad)


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

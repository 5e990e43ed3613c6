"""Checks every record of a data set and writes a report on it.

Exits with status 1 if anything is bad.
"""

import os
import time

from distill.cli import flag_groups as groups
from distill.cli.beam import beam_runner
from distill.cli.entry_point import start_tensorflow
from distill.cli.experiment import data_schema, frame_budget
from distill.cli.settings_flags import FLAGS, Flag, require, specs
from distill.settings.training import TrainingSettings

_SPLITS = ("train", "eval", "test")

OWN_FLAGS = (
    Flag(
        "test_data_pattern",
        "Globs of the files to predict, which need no labels.",
    ),
    Flag(
        "output_dir",
        "Directory of the report; an earlier one's files are replaced.",
    ),
    Flag(
        "num_processes",
        "Files to read at once, each by a process of its own.",
        int,
        os.cpu_count(),
    ),
)
FLAG_GROUPS = (
    specs(TrainingSettings, "train_data_pattern"),
    groups.EVALUATION_FILES,
    groups.MIN_FRAMES,
    OWN_FLAGS,
    groups.LAYOUT,
    groups.BUDGET,
    groups.BEAM,
)


def main() -> int:
    """Checks the splits, prints the table and writes the report."""
    require("output_dir")
    patterns = {
        name: str(pattern)
        for name in _SPLITS
        if (pattern := FLAGS[f"{name}_data_pattern"].value)
    }
    if not patterns:
        names = " or ".join(f"--{name}_data_pattern" for name in _SPLITS)
        raise ValueError(f"Give a value to {names}.")
    schema = data_schema()
    budget = frame_budget().at_evaluation()
    run = beam_runner(FLAGS.output_dir)

    start_tensorflow(gpu=-1)
    from distill.data.bad_records import Expected
    from distill.data.files import find_files
    from distill.datasets.check.check import (
        Split,
        check_splits,
        check_splits_by,
    )
    from distill.datasets.check.report import (
        make_directory,
        print_findings,
        write_report,
    )
    from distill.reporting.console import progress_bar

    splits = {
        name: Split(
            find_files(pattern),
            Expected(schema, name != "test", budget, FLAGS.min_frames),
        )
        for name, pattern in patterns.items()
    }
    make_directory(FLAGS.output_dir)
    started = time.monotonic()
    num_files = sum(len(split.files) for split in splits.values())
    if run is None:
        with progress_bar("files", num_files) as observe:
            found = check_splits(splits, FLAGS.num_processes, observe)
    else:
        found = check_splits_by(run, splits, FLAGS.output_dir)
    seconds = time.monotonic() - started
    files = write_report(found, FLAGS.output_dir)
    print_findings(found, seconds)
    print(f"wrote {', '.join(files)} to {FLAGS.output_dir}")
    return int(found.is_bad)

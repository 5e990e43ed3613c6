"""Writes shards of the frames of a budget alone, or of another form."""

import os
import time

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.experiment import data_schema, frame_budget
from distill.cli.settings_flags import FLAGS, Flag, require, specs
from distill.settings.pack import RecordSettings
from distill.system.storage import warn_of_records

OWN_FLAGS = (
    Flag(
        "input_data_pattern",
        "Globs of the whole videos' files, comma-separated; not compressed.",
    ),
    Flag(
        "output_dir",
        "Directory of the shards, each under its source's name; one for each "
        "budget.",
    ),
    *specs(RecordSettings, "record_form", unset="each record's own"),
    Flag("num_workers", "Files to read at once.", int, os.cpu_count()),
)
FLAG_GROUPS = (
    groups.EXCLUDED_FILES,
    groups.LAYOUT,
    groups.BUDGET,
    OWN_FLAGS,
)


def main() -> None:
    """Writes the shards and says how much smaller they are."""
    require("input_data_pattern", "output_dir")
    schema = data_schema()
    budget = frame_budget()

    warn_of_records(FLAGS.output_dir)
    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.datasets.budget_shards import (
        BudgetShards,
        KeptFrames,
        describe_sizes,
    )
    from distill.reporting.console import print_shard
    from distill.system.directory_lock import DirectoryLock

    settings = KeptFrames(schema, budget, FLAGS.record_form)
    files = find_files(FLAGS.input_data_pattern)
    with DirectoryLock(FLAGS.output_dir):
        shards = BudgetShards(settings, files, FLAGS.output_dir)
        started = time.monotonic()
        sizes = shards.write(print_shard, FLAGS.num_workers)
        print(describe_sizes(sizes, time.monotonic() - started))

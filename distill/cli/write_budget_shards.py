"""Writes shards of k frames a video from shards of whole videos."""

import os
import time

from absl import flags

from distill.cli import data_settings, flag_sets, flag_settings
from distill.cli.entry_point import run, start_tensorflow
from distill.models.frame_budget import ALL_FRAMES

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_layout_flags()
    flag_sets.define_budget_flags()
    flags.DEFINE_string(
        "input_data_pattern",
        None,
        "Globs of the whole videos' files, comma-separated; not compressed.",
    )
    flags.DEFINE_string(
        "output_dir",
        None,
        "Where the shards go, each under its source's name; a directory for "
        "each budget.",
    )
    flags.DEFINE_integer(
        "num_workers", os.cpu_count(), "Files to read at once."
    )


def main() -> None:
    """Writes the shards and says how much smaller they are."""
    data_settings.require("input_data_pattern", "output_dir")
    schema = data_settings.data_schema()
    budget = flag_settings.frame_budget(ALL_FRAMES)

    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.datasets.budget_records import KeptFrames
    from distill.datasets.budget_shards import BudgetShards
    from distill.datasets.replaced_files import local_directory
    from distill.reporting.console import print_shard
    from distill.system.directory_lock import DirectoryLock

    settings = KeptFrames(schema, budget)
    files = find_files(FLAGS.input_data_pattern)
    with DirectoryLock(local_directory(FLAGS.output_dir)):
        shards = BudgetShards(settings, files, FLAGS.output_dir)
        started = time.monotonic()
        sizes = shards.write(print_shard, FLAGS.num_workers)
        print(sizes.describe(time.monotonic() - started))


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

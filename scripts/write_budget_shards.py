"""Writes shards of k frames a video from shards of whole videos."""

import os
import time

from absl import flags

from models.frame_budget import ALL_FRAMES
from scripts import data_settings, flag_sets, flag_settings
from scripts.entry_point import run, start_tensorflow

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
    from distill.data.budget_records import KeptFrames
    from distill.data.budget_shards import BudgetShards
    from distill.data.files import find_files
    from distill.data.replaced_files import local_directory
    from distill.directory_lock import DirectoryLock
    from distill.reports import print_shard

    settings = KeptFrames(schema, budget)
    files = find_files(FLAGS.input_data_pattern)
    with DirectoryLock(local_directory(FLAGS.output_dir)):
        shards = BudgetShards(settings, files, FLAGS.output_dir)
        started = time.monotonic()
        sizes = shards.write(print_shard, FLAGS.num_workers)
        print(sizes.describe(time.monotonic() - started))


if __name__ == "__main__":
    define_flags()
    run(main)

"""Writes learnable synthetic videos as frame-level TFRecords."""

from absl import flags

from distill.cli import data_settings, flag_sets, flag_settings
from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_synthetic_flags()


def main() -> None:
    """Writes the training and the validation split."""
    data_settings.require("output_dir")

    start_tensorflow(gpu=-1)
    from distill.datasets.synthetic import write_synthetic_data
    from distill.reporting.console import print_shard
    from distill.system.directory_lock import DirectoryLock

    splits = flag_settings.synthetic_settings()
    with DirectoryLock(FLAGS.output_dir):
        for settings in splits:
            shards = write_synthetic_data(settings, FLAGS.output_dir)
            for path, written in shards:
                print_shard(path, written)


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

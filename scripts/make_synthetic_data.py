"""Writes learnable synthetic videos as frame-level TFRecords."""

from absl import flags

from scripts import data_settings, flag_sets, flag_settings
from scripts.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_synthetic_flags()


def main() -> None:
    """Writes the training and the validation split."""
    data_settings.require("output_dir")

    start_tensorflow(gpu=-1)
    from distill.data.synthetic import write_synthetic_data
    from distill.directory_lock import DirectoryLock
    from distill.reports import print_shard

    splits = flag_settings.synthetic_settings()
    with DirectoryLock(FLAGS.output_dir):
        for settings in splits:
            shards = write_synthetic_data(settings, FLAGS.output_dir)
            for path, written in shards:
                print_shard(path, written)


if __name__ == "__main__":
    define_flags()
    run(main)

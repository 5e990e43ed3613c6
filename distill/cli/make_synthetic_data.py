"""Writes a synthetic data set of videos whose labels show in scenes."""

from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs
from distill.settings.synthetic import SyntheticSettings
from distill.system.storage import warn_of_records

OWN_FLAGS = (
    Flag("output_dir", "Directory of the files."),
    Flag("num_train_videos", "Videos to train on.", int, 2000),
    Flag("num_validate_videos", "Videos to score on.", int, 500),
)
FLAG_GROUPS = (
    OWN_FLAGS,
    specs(SyntheticSettings, skip=("split", "num_videos")),
)


def main() -> None:
    """Writes the training and the validation split."""
    require("output_dir")
    splits = [
        read(SyntheticSettings, split=split, num_videos=num_videos)
        for split, num_videos in (
            ("train", FLAGS.num_train_videos),
            ("validate", FLAGS.num_validate_videos),
        )
    ]

    warn_of_records(FLAGS.output_dir)
    start_tensorflow(gpu=-1)
    from distill.datasets.synthetic import write_synthetic_data
    from distill.reporting.console import print_shard
    from distill.system.directory_lock import DirectoryLock

    with DirectoryLock(FLAGS.output_dir):
        for settings in splits:
            shards = write_synthetic_data(settings, FLAGS.output_dir)
            for path, written in shards:
                print_shard(path, written)

"""Writes a synthetic data set of videos whose labels show in scenes."""

import dataclasses

from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, read, require, specs
from distill.models.options import option
from distill.settings.synthetic import SyntheticSettings


@dataclasses.dataclass(frozen=True)
class SplitFlags:
    """Size and place of the splits."""

    output_dir: str | None = option(None, "Directory of the files.")
    num_train_videos: int = option(2000, "Videos to train on.")
    num_validate_videos: int = option(500, "Videos to score on.")


FLAG_GROUPS = (
    specs(SplitFlags),
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

    start_tensorflow(gpu=-1)
    from distill.datasets.synthetic import write_synthetic_data
    from distill.reporting.console import print_shard
    from distill.system.directory_lock import DirectoryLock

    with DirectoryLock(FLAGS.output_dir):
        for settings in splits:
            shards = write_synthetic_data(settings, FLAGS.output_dir)
            for path, written in shards:
                print_shard(path, written)

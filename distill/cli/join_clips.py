"""Writes long videos, each several clips one after another."""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.experiment import data_schema
from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "input_data_pattern",
        "Globs of the clips' files, comma-separated; not compressed.",
    ),
    Flag("output_dir", "Directory of the videos' files."),
    Flag(
        "output_prefix",
        "Beginning of the files' names and of the videos' ids, another for "
        "each split: train, validate.",
    ),
    Flag(
        "num_clips",
        "Clips a video, one after another; of each its first --max_frames.",
        int,
    ),
    Flag("num_shards", "Files to write.", int, 4),
    Flag(
        "repeats", "Passes over the clips, each in an order of its own.", int, 1
    ),
    Flag("seed", "Seed of the clips' orders.", int, 0),
)
FLAG_GROUPS = (groups.LAYOUT, OWN_FLAGS)


def main() -> None:
    """Writes the videos and says how many and how long they are."""
    require("input_data_pattern", "output_dir", "output_prefix", "num_clips")
    schema = data_schema()

    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.datasets.joined_clips import JoinedVideos, JoinSettings
    from distill.datasets.shards import local_directory
    from distill.reporting.console import print_shard
    from distill.system.directory_lock import DirectoryLock

    settings = JoinSettings(
        schema,
        FLAGS.output_prefix,
        FLAGS.num_clips,
        num_shards=FLAGS.num_shards,
        repeats=FLAGS.repeats,
        seed=FLAGS.seed,
    )
    files = find_files(FLAGS.input_data_pattern)
    with DirectoryLock(local_directory(FLAGS.output_dir)):
        videos = JoinedVideos(settings, files, FLAGS.output_dir)
        for path, written in videos.write():
            print_shard(path, written)
    for line in videos.summarize():
        print(line)

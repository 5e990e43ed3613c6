"""Joins short clips to long videos: frame-level TFRecords of either."""

from absl import flags

from distill.cli import data_settings, flag_sets
from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_layout_flags()
    flags.DEFINE_string(
        "input_data_pattern",
        None,
        "Globs of the clips' files, comma-separated; not compressed.",
    )
    flags.DEFINE_string("output_dir", None, "Where the videos' files go.")
    flags.DEFINE_string(
        "output_prefix",
        None,
        "Beginning of the files' names and of the videos' ids, another for "
        "each split: train, validate.",
    )
    flags.DEFINE_integer(
        "num_clips",
        None,
        "Clips a video, one after another; of each its first --max_frames.",
    )
    flags.DEFINE_integer("num_shards", 4, "Files to write.")
    flags.DEFINE_integer(
        "repeats", 1, "Passes over the clips, each in an order of its own."
    )
    flags.DEFINE_integer("seed", 0, "Seed of the clips' orders.")


def main() -> None:
    """Writes the videos and says how many and how long they are."""
    data_settings.require(
        "input_data_pattern", "output_dir", "output_prefix", "num_clips"
    )
    schema = data_settings.data_schema()

    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.datasets.joined_clips import JoinedVideos, JoinSettings
    from distill.datasets.replaced_files import local_directory
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


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

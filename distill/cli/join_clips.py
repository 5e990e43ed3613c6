"""Writes long videos, each several clips one after another."""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.experiment import data_schema
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs
from distill.settings.join import JoinSettings
from distill.system.storage import warn_of_records

OWN_FLAGS = (
    Flag(
        "input_data_pattern",
        "Globs of the clips' files, comma-separated; not compressed.",
    ),
    Flag("output_dir", "Directory of the videos' files."),
)
FLAG_GROUPS = (
    groups.EXCLUDED_FILES,
    groups.LAYOUT,
    OWN_FLAGS,
    specs(JoinSettings, skip=("schema",)),
)


def main() -> None:
    """Writes the videos and says how many and how long they are."""
    require("input_data_pattern", "output_dir", "output_prefix", "num_clips")
    schema = data_schema()

    warn_of_records(FLAGS.output_dir)
    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.datasets.joined_clips import JoinedVideos
    from distill.reporting.console import print_shard
    from distill.system.directory_lock import DirectoryLock

    settings = read(JoinSettings, schema=schema)
    files = find_files(FLAGS.input_data_pattern)
    with DirectoryLock(FLAGS.output_dir):
        videos = JoinedVideos(settings, files, FLAGS.output_dir)
        for path, written in videos.write():
            print_shard(path, written)
    for line in videos.summarize():
        print(line)

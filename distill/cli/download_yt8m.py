"""Downloads YouTube-8M: what lacks, checked by its hash, several at a time.

Exits with status 1 if a file could not be fetched; another call continues.
"""

import sys

from absl import flags

from distill.cli import data_settings
from distill.cli.entry_point import run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flags.DEFINE_string(
        "partition",
        None,
        "VERSION/LEVEL/SPLIT, such as 2/frame/train, 2/video/validate or "
        "3/frame/test.",
    )
    flags.DEFINE_string("mirror", None, "Nearest servers: us, eu or asia.")
    flags.DEFINE_string(
        "shard", None, "m,n: part m, from 1, of n parts. Default: all files."
    )
    flags.DEFINE_integer("jobs", 4, "Files to fetch at once.")
    flags.DEFINE_string(
        "server",
        "http://{host}",
        "Address of the servers; {host} stands for their own names.",
    )
    flags.DEFINE_string("output_dir", None, "Where the files go.")


def main() -> int:
    """Fetches what lacks and lists what failed."""
    data_settings.require("partition", "mirror", "output_dir")

    from distill.datasets.download import Download
    from distill.datasets.download_plan import Source

    source = Source(FLAGS.partition, FLAGS.mirror, FLAGS.server)
    download = Download(source, FLAGS.output_dir, FLAGS.shard, FLAGS.jobs)
    print(
        f"{len(download.files)} of the {download.num_planned} files of "
        f"{FLAGS.partition}; {download.describe_room()}",
        flush=True,
    )
    result = download.run(lambda line: print(line, flush=True))
    print(
        f"{result.num_present} files were there, {result.num_fetched} were "
        f"fetched ({result.num_bytes / 1e6:,.1f} MB), {len(result.failed)} "
        "failed"
    )
    for name, problem in sorted(result.failed.items()):
        print(f"{name}: {problem}", file=sys.stderr)
    if result.stopped:
        print("Interrupted: another call continues.", file=sys.stderr)
        return 130
    return int(bool(result.failed))


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

"""Downloads YouTube-8M; another call continues."""

import sys

from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "partition",
        "VERSION/LEVEL/SPLIT, such as 2/frame/train, 2/video/validate or "
        "3/frame/test.",
    ),
    Flag("mirror", "Nearest servers: us, eu or asia."),
    Flag("shard", "m,n: part m, from 1, of n parts. Default: all files."),
    Flag("jobs", "Files to fetch at once.", int, 4),
    Flag(
        "server",
        "Address of the servers; {host} stands for their own names.",
        default="http://{host}",
        is_address=True,
    ),
    Flag("output_dir", "Directory of the files."),
)
FLAG_GROUPS = (OWN_FLAGS,)


def main() -> int:
    """Fetches what lacks and lists what failed."""
    require("partition", "mirror", "output_dir")

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

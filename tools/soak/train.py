"""Trains under random kills for some time; compares with an undisturbed run.

A joint run on small data is killed (SIGKILL; now and then SIGTERM or Ctrl-C)
and started again by the same command, again and again. Then it runs to its
end, and so does an undisturbed one of as many steps. Exits with status 1 if
they differ, or if memory, disk use or temporary files grow.
"""

import dataclasses
import sys
import tempfile
from pathlib import Path

from absl import flags

from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import specs
from distill.models.options import option
from distill.system.storage import local_path

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class TrainSoakSettings:
    """Settings of the soak test of training."""

    minutes: float = option(
        60.0,
        "Minutes under kills. The undisturbed run, which loses no step, takes "
        "up to as long after them.",
        minimum=0.5,
    )
    seed: int = option(0, "Seed of the kills.")
    work_dir: str | None = option(
        None, "Directory of the runs. Default: a temporary one."
    )
    report: str | None = option(None, "Markdown file for the summary.")


FLAG_GROUPS = (specs(TrainSoakSettings),)


def main() -> int:
    """Runs the test; returns 1 if it found a fault."""
    from tools.drills.processes import Processes

    # First, so that its server imports TensorFlow while this process does.
    processes = Processes()
    start_tensorflow(gpu=-1)
    if FLAGS.work_dir is not None:
        return _run(local_path("work_dir", FLAGS.work_dir), processes)
    with tempfile.TemporaryDirectory(prefix="distill-soak-") as directory:
        return _run(Path(directory), processes)


def _run(work_dir: Path, processes) -> int:
    from distill.reporting.console import print_table
    from distill.system.atomic_files import replace_atomically
    from distill.system.directory_lock import DirectoryLock
    from tools.soak.killed_run import TITLES, TrainingSoak

    with DirectoryLock(work_dir):
        soak = TrainingSoak(work_dir, processes, FLAGS.seed)
        lines = []
        for line in soak.run(60 * FLAGS.minutes):
            print(line, flush=True)
            lines.append(line)
    rows = soak.summary()
    print_table(TITLES, rows, left=(0, 1))
    for fault in soak.faults:
        print(f"FAULT: {fault}")
    if FLAGS.report is not None:
        command = " ".join(["python -m tools.soak train", *sys.argv[1:]])
        table = [TITLES, ["---"] * len(TITLES), *rows]
        text = ["# Training under random kills", "", f"`{command}`", ""]
        text += [f"| {' | '.join(cells)} |" for cells in table]
        text += ["", *(f"- Fault: {fault}" for fault in soak.faults)]
        text += ["```", *lines, "```", ""]
        with replace_atomically(FLAGS.report) as temporary:
            temporary.write_text("\n".join(text))
    return int(bool(soak.faults))

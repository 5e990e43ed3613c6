"""Kills the stages at random moments and checks that nothing is lost."""

import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.cli.settings_flags import specs
from distill.models.options import option
from distill.system.storage import local_path
from tools.drills.processes import Processes
from tools.drills.stages import Stage, choose_stages

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class DrillSettings:
    """Settings of the drills."""

    num_kills: int = option(50, "Processes to kill.", minimum=1)
    seed: int = option(0, "Seed of the moments.")
    stages: tuple[str, ...] | None = option(
        None, "Stages to kill, comma-separated. Default: all."
    )
    work_dir: str | None = option(
        None, "Directory of the stages. Default: a temporary one."
    )
    report: str | None = option(None, "Markdown file for the summary.")
    warm_start: bool = option(
        True,
        "Fork processes from one that has imported TensorFlow; false: start "
        "each afresh, which takes seconds.",
    )


def main() -> int:
    """Runs the drills; returns 1 if any went wrong."""
    stages = choose_stages(FLAGS.stages)
    # First, so that its server imports TensorFlow while this process does.
    processes = Processes(FLAGS.warm_start)
    start_tensorflow(gpu=-1)
    if FLAGS.work_dir is not None:
        return _run(local_path("work_dir", FLAGS.work_dir), processes, stages)
    with tempfile.TemporaryDirectory(prefix="distill-drills-") as directory:
        return _run(Path(directory), processes, stages)


def _run(work_dir: Path, processes: Processes, stages: Sequence[Stage]) -> int:
    from distill.reporting.console import print_table
    from distill.system.atomic_files import replace_atomically
    from distill.system.directory_lock import DirectoryLock
    from tools.drills.drill import Drill, Drills
    from tools.drills.report import TITLES, conclude, render_markdown, summarize

    done = []
    with DirectoryLock(work_dir):
        drills = Drills(work_dir, processes, FLAGS.seed)
        for line in drills.run(stages, FLAGS.num_kills):
            if isinstance(line, Drill):
                done.append(line)
            number = f"{len(done):3d} " if done else ""
            print(f"{number}{line}", flush=True)
    print_table(TITLES, summarize(done))
    print(conclude(done))
    if FLAGS.report is not None:
        command = " ".join(["python -m tools.drills", *sys.argv[1:]])
        with replace_atomically(FLAGS.report) as temporary:
            temporary.write_text(render_markdown(command, done))
    return int(any(drill.problems for drill in done))


if __name__ == "__main__":
    run(main, [specs(DrillSettings)])

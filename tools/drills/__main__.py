"""Kills the stages at random moments and checks that nothing is lost."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.models.argument_checks import check_at_least
from tools.drills.processes import Processes
from tools.drills.stages import Stage, choose_stages

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the tool's flags."""
    flags.DEFINE_integer("num_kills", 50, "Processes to kill.")
    flags.DEFINE_integer("seed", 0, "Seed of the moments.")
    flags.DEFINE_list(
        "stages", None, "Stages to kill, comma-separated; default: all."
    )
    flags.DEFINE_string(
        "work_dir", None, "Directory of the stages; default: a temporary one."
    )
    flags.DEFINE_string("report", None, "Markdown file for the summary.")
    flags.DEFINE_boolean(
        "warm_start",
        True,
        "Fork processes from one that has imported TensorFlow; false: start "
        "each afresh, which takes seconds.",
    )


def main() -> int:
    """Runs the drills; returns 1 if any went wrong."""
    check_at_least(1, num_kills=FLAGS.num_kills)
    stages = choose_stages(FLAGS.stages)
    # First, so that its server imports TensorFlow while this process does.
    processes = Processes(FLAGS.warm_start)
    start_tensorflow(gpu=-1)
    if FLAGS.work_dir is not None:
        return _run(Path(FLAGS.work_dir), processes, stages)
    with tempfile.TemporaryDirectory(prefix="distill-drills-") as directory:
        return _run(Path(directory), processes, stages)


def _run(work_dir: Path, processes: Processes, stages: Sequence[Stage]) -> int:
    from distill.system.atomic_files import replace_atomically
    from distill.system.directory_lock import DirectoryLock
    from tools.drills.drill import Drill, Drills
    from tools.drills.report import TITLES, conclude, render_markdown, summarize
    from tools.tables import print_table

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
    define_flags()
    run(main)

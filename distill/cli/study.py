"""Studies accuracy and cost over frame budgets: a grid from one teacher."""

import shlex
import sys

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs
from distill.settings.frame_cost import FrameCost

OWN_FLAGS = (
    Flag("study_dir", "Directory of the study."),
    Flag(
        "study_rows",
        "Python file of ROWS, as configs/study_audioset.py.",
    ),
    Flag(
        "budgets", "Numbers of frames, the columns.", tuple[int, ...], minimum=1
    ),
    Flag("seeds", "Seeds of every row.", tuple[int, ...], (0, 1, 2), minimum=0),
    Flag(
        "teacher_flags",
        "Flags of the teacher's training, on labels.",
        default="",
    ),
    Flag(
        "teacher_seeds",
        "Seeds of the teachers.",
        tuple[int, ...],
        (0,),
        minimum=0,
    ),
    Flag(
        "cascade_rows",
        "Rows with fewest_frames that are reported as a cascade too.",
        tuple[str, ...],
        (),
    ),
    Flag(
        "cascade_means",
        "Mean frames a video of those cascades.",
        tuple[float, ...],
        (),
    ),
    Flag(
        "cascade_budgets",
        "Frames that a cascade's stages see. Default: --budgets.",
        tuple[int, ...],
        minimum=1,
        rare=True,
    ),
    Flag(
        "calibration_data_pattern",
        "Globs of videos whose confidences (no labels) set the thresholds.",
        rare=True,
    ),
    Flag(
        "baseline_row",
        "The row without a teacher, against which gains are counted. Default: "
        "the first.",
    ),
    Flag(
        "dry_run",
        "Show the grid and its estimated time alone. The estimate times some "
        "real steps of each kind of training.",
        bool,
        False,
    ),
    Flag(
        "report_only",
        "Write the report again from --study_dir/results.json alone.",
        bool,
        False,
    ),
    Flag("max_runs", "Trainings of this call; the next call continues.", int),
    *specs(FrameCost),
)
FLAG_GROUPS = (
    groups.TRAINING,
    groups.LAYOUT,
    groups.NETWORKS,
    groups.TRAINING_BUDGET,
    groups.DISTILLATION,
    groups.STUDENT_FILE,
    groups.GPU,
    OWN_FLAGS,
)


def main() -> int:
    """Runs the missing trainings, writes the report; 1 after a signal."""
    if FLAGS.report_only:
        from distill.study.report import rewrite_report

        require("study_dir")
        rewrite_report(FLAGS.study_dir, read(FrameCost))
        print(f"wrote {FLAGS.study_dir}/report.md and report.html")
        return 0
    from distill.cli.study_settings import study_plan

    study = study_plan(shlex.join(["distill", "study", *sys.argv[1:]]))

    start_tensorflow(FLAGS.gpu)
    from distill.study.study import run_study, show_plan

    if FLAGS.dry_run:
        show_plan(study)
        return 0
    return 0 if run_study(study, FLAGS.max_runs) else 1

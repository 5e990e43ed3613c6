"""Studies accuracy and cost over frame budgets: a grid from one teacher."""

import sys

from absl import flags

from distill.cli import flag_sets
from distill.cli.entry_point import run, start_tensorflow
from distill.cli.study_settings import study_plan

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    flag_sets.define_regime_flag()
    flags.DEFINE_string("study_dir", None, "Directory of the study.")
    flags.DEFINE_string(
        "study_rows",
        None,
        "Python file that defines ROWS, the list of the study's methods; "
        "configs/study_audioset.py is an example.",
    )
    flags.DEFINE_list("budgets", None, "Numbers of frames, the columns.")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of every row.")
    flags.DEFINE_string(
        "teacher_flags", "", "Flags of the teacher's training, on labels."
    )
    flags.DEFINE_list("teacher_seeds", ["0"], "Seeds of the teachers.")
    flags.DEFINE_list(
        "cascade_rows",
        [],
        "Rows with fewest_frames that are reported as a cascade too.",
    )
    flags.DEFINE_list(
        "cascade_means", [], "Mean frames a video of those cascades."
    )
    flags.DEFINE_list(
        "cascade_budgets",
        None,
        "Frames that a cascade's stages see; default: --budgets.",
    )
    flags.DEFINE_string(
        "calibration_data_pattern",
        None,
        "Globs of videos whose confidences (no labels) set the thresholds.",
    )
    flags.DEFINE_string(
        "baseline_row",
        None,
        "The row without a teacher, over which gains are counted; default: "
        "the first.",
    )
    flags.DEFINE_boolean(
        "dry_run", False, "Only show the grid and its estimated time."
    )
    flags.DEFINE_integer(
        "max_runs", None, "Trainings of this call; the next call goes on."
    )


def main() -> int:
    """Runs what is not done yet and writes the report; 1 after a signal."""
    study = study_plan(" ".join(["python -m distill study", *sys.argv[1:]]))

    start_tensorflow(FLAGS.gpu)
    from distill.study.study import run_study, show_plan

    if FLAGS.dry_run:
        show_plan(study)
        return 0
    return 0 if run_study(study, FLAGS.max_runs) else 1


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

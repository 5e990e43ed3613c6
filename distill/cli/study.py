"""Studies accuracy and cost over frame budgets: a grid from one teacher."""

import sys

from absl import flags

from distill.cli import flag_sets
from distill.cli.entry_point import run, start_tensorflow
from distill.cli.study_flags import define_study_flags
from distill.cli.study_settings import study_plan

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    flag_sets.define_regime_flag()
    define_study_flags()


def main() -> int:
    """Runs what is not done yet and writes the report; 1 after a signal."""
    command = ["python -m distill study", *sys.argv[1:]]
    study = study_plan(" ".join(command))

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

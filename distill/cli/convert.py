"""Copies the student out of a run's checkpoint."""

from absl import flags

from distill.cli import data_settings, flag_sets, scoring_flags
from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    scoring_flags.define_scoring_flags()


def main() -> None:
    """Converts --checkpoint, or --train_dir's newest."""
    data_settings.require("student_checkpoint")

    start_tensorflow(gpu=-1)
    from distill.checkpoints.checkpoint import choose_checkpoint
    from distill.checkpoints.conversion import convert_to_student
    from distill.reporting.console import print_conversion

    checkpoint = choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir)
    sizes = convert_to_student(checkpoint, FLAGS.student_checkpoint)
    print_conversion(checkpoint, FLAGS.student_checkpoint, sizes)


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

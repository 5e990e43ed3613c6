"""Finds the thresholds by which a student stops taking frames."""

from absl import flags

from distill.cli import (
    data_settings,
    flag_sets,
    scoring_flags,
    scoring_settings,
)
from distill.cli.entry_point import run, start_tensorflow, write_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    scoring_flags.define_scoring_flags()
    flags.DEFINE_string(
        "calibration_data_pattern",
        None,
        "Globs of the videos whose probabilities (no labels) set the "
        "thresholds; default: --eval_data_pattern.",
    )
    flags.DEFINE_list(
        "cascade_budgets", None, "Frames of each stage, the fewest first."
    )
    flags.DEFINE_float("mean_frames", None, "Mean frames a video wanted.")


def main() -> None:
    """Calibrates the student of --checkpoint, or of --train_dir's newest."""
    data_settings.require("cascade_budgets", "mean_frames", "cascade_file")
    budgets = data_settings.whole_numbers("cascade_budgets")

    start_tensorflow(FLAGS.gpu)
    from distill.checkpoints.checkpoint import choose_checkpoint
    from distill.evaluation.cascade_calibration import calibrate
    from distill.networks.loading import load_network

    checkpoint = choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir)
    reader = scoring_settings.evaluation_reader(
        checkpoint,
        need_labels=False,
        pattern=FLAGS.calibration_data_pattern,
    )
    network = load_network(checkpoint, "student", FLAGS.mixed_precision)
    cascade = calibrate(network, reader, tuple(budgets), FLAGS.mean_frames)
    cascade.write(FLAGS.cascade_file)
    write_flags(FLAGS.cascade_file)
    for frames, threshold in zip(
        cascade.budgets, cascade.thresholds, strict=False
    ):
        print(f"{frames} frames are enough from {threshold:.4f} on")
    print(f"wrote {FLAGS.cascade_file}")


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

"""Averages the weights of several checkpoints of one run."""

from absl import flags

from distill.cli import data_settings
from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flags.DEFINE_list(
        "checkpoints", None, "Checkpoints to average, comma-separated."
    )
    flags.DEFINE_string(
        "train_dir", None, "In their place: the directory of a run."
    )
    flags.DEFINE_string(
        "steps", None, "With --train_dir: FROM-TO, the steps, both included."
    )
    flags.DEFINE_integer(
        "last", None, "With --train_dir: how many of the newest checkpoints."
    )
    flags.DEFINE_string(
        "output_checkpoint", None, "The checkpoint to write, like any other."
    )


def main() -> None:
    """Writes the mean and says of what it is."""
    data_settings.require("output_checkpoint")
    given = [
        name
        for name in ("checkpoints", "steps", "last")
        if FLAGS[name].value is not None
    ]
    if len(given) != 1 or (given == ["checkpoints"]) == bool(FLAGS.train_dir):
        raise ValueError(
            "Give --checkpoints, or --train_dir with --steps or with --last."
        )

    start_tensorflow(gpu=-1)
    from distill.checkpoints.averaging import (
        average_checkpoints,
        choose_last,
        choose_steps,
    )

    checkpoints = FLAGS.checkpoints
    if FLAGS.steps is not None:
        checkpoints = choose_steps(FLAGS.train_dir, FLAGS.steps)
    elif FLAGS.last is not None:
        checkpoints = choose_last(FLAGS.train_dir, FLAGS.last)
    groups = average_checkpoints(checkpoints, FLAGS.output_checkpoint)
    for checkpoint in checkpoints:
        print(f"averaged {', '.join(groups)} of {checkpoint}")
    print(f"wrote {FLAGS.output_checkpoint}")


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)

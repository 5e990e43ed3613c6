"""Averages the weights of several checkpoints of one run."""

from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "checkpoints",
        "Checkpoints to average, comma-separated.",
        tuple[str, ...],
    ),
    Flag("train_dir", "In their place: the directory of a run."),
    Flag("steps", "With --train_dir: FROM-TO, the steps, both included."),
    Flag("last", "With --train_dir: number of the newest checkpoints.", int),
    Flag("output_checkpoint", "The checkpoint to write."),
)
FLAG_GROUPS = (OWN_FLAGS,)


def main() -> None:
    """Writes the mean and says of what it is."""
    require("output_checkpoint")
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

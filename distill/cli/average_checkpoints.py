"""Averages the weights of several checkpoints of one run."""

import dataclasses

from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, require, specs
from distill.models.options import option


@dataclasses.dataclass(frozen=True)
class AverageFlags:
    """Flags of the average."""

    checkpoints: tuple[str, ...] | None = option(
        None, "Checkpoints to average, comma-separated."
    )
    train_dir: str | None = option(
        None, "In their place: the directory of a run."
    )
    steps: str | None = option(
        None, "With --train_dir: FROM-TO, the steps, both included."
    )
    last: int | None = option(
        None, "With --train_dir: number of the newest checkpoints."
    )
    output_checkpoint: str | None = option(None, "The checkpoint to write.")


FLAG_GROUPS = (specs(AverageFlags),)


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

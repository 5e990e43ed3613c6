"""Copies the student out of a run's checkpoint."""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, require

FLAG_GROUPS = (
    groups.CHECKPOINT,
    groups.STUDENT_FILE,
)


def main() -> None:
    """Converts --checkpoint, or --train_dir's newest."""
    require("student_checkpoint")

    start_tensorflow(gpu=-1)
    from distill.checkpoints.checkpoint import choose_checkpoint
    from distill.checkpoints.conversion import convert_to_student

    checkpoint = choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir)
    print(*convert_to_student(checkpoint, FLAGS.student_checkpoint), sep="\n")

"""Copies the student out of a run's checkpoint."""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.next_command import next_command
from distill.cli.settings_flags import FLAGS, Flag, require
from distill.system.storage import to_path

OWN_FLAGS = (
    Flag(
        "bias_alpha",
        "Divide the last layer's biases by this about their mean. For "
        "inference; above 1 rare and frequent classes get closer. Default: "
        "leave them.",
        float,
    ),
)
FLAG_GROUPS = (
    groups.CHECKPOINT,
    groups.STUDENT_FILE,
    OWN_FLAGS,
)


def main() -> None:
    """Converts --checkpoint, or --train_dir's newest."""
    require("student_checkpoint")

    start_tensorflow(gpu=-1)
    from distill.checkpoints.checkpoint import choose_checkpoint, read_settings
    from distill.checkpoints.conversion import convert

    checkpoint = choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir)
    student = FLAGS.student_checkpoint
    print(*convert(checkpoint, student, FLAGS.bias_alpha), sep="\n")
    trained = read_settings(student).training
    directory = str(to_path(student).parent / "finetuned")
    command = next_command(
        "finetune",
        {"train_dir": directory, "student_checkpoint": student},
        {"train_data_pattern": trained.train_data_pattern},
    )
    print(f"result: {student}", f"next: {command}", sep="\n")

"""The flags of what is scored, or predicts."""

from absl import flags


def define_scoring_flags() -> None:
    """Defines what evaluation and inference take beside the experiment."""
    flags.DEFINE_string(
        "checkpoint", None, "Checkpoint to read; default: --train_dir's newest."
    )
    flags.DEFINE_enum(
        "role",
        "student",
        ["student", "teacher", "both"],
        "Network of the checkpoint.",
    )
    flags.DEFINE_string(
        "cascade_file",
        None,
        "What distill calibrate_cascade wrote: the student takes more frames "
        "only where it is unsure.",
    )
    flags.DEFINE_string(
        "artifact",
        None,
        "What distill export wrote, in place of a checkpoint.",
    )

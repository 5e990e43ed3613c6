"""The flags of what a run writes and when."""

from absl import flags

from distill.settings.run_options import ON_NAN


def define_run_flags() -> None:
    """Defines where a run goes, its checkpoints, log and exports."""
    flags.DEFINE_string("train_dir", None, "Directory of the run.")
    flags.DEFINE_boolean(
        "start_new_model", False, "Remove an earlier run in --train_dir first."
    )
    flags.DEFINE_integer("log_every_steps", 10, "Steps between log lines.")
    flags.DEFINE_integer(
        "checkpoint_every_steps", 0, "Steps between checkpoints; 0: none."
    )
    flags.DEFINE_float(
        "checkpoint_every_minutes", 30.0, "Minutes between them; 0: none."
    )
    flags.DEFINE_integer(
        "export_model_steps",
        0,
        "Steps between two exports of the student as a SavedModel, to "
        "--train_dir/export; 0: none.",
    )
    flags.DEFINE_string(
        "class_names_file",
        None,
        "CSV file of the classes, for exports: a header, then INDEX,...,NAME. "
        "Default: their numbers.",
    )
    flags.DEFINE_integer(
        "keep_checkpoints", 0, "Newest checkpoints to keep; 0: all."
    )
    flags.DEFINE_enum(
        "on_nan",
        "stop",
        ON_NAN,
        "When the loss is not finite: stop, or go back to the last checkpoint "
        "and on without the batches since.",
    )
    flags.DEFINE_integer("top_k", 20, "Classes a video in GAP and the CSV.")
    flags.DEFINE_string(
        "student_checkpoint",
        None,
        "The student's own file: what conversion writes and fine-tuning "
        "starts from.",
    )

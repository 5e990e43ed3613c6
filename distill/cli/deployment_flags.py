"""The flags of what makes and reads artifacts."""

from typing import Any

from absl import flags

FLAGS = flags.FLAGS
_FORMATS = ["saved_model", "keras", "onnx", "litert"]
_PRECISIONS = ["float32", "float16", "int8"]


def define_export_flags() -> None:
    """Defines what is exported, and where to."""
    flags.DEFINE_string(
        "export_dir", None, "Directory of the artifacts; an export is replaced."
    )
    flags.DEFINE_list("formats", _FORMATS, f"Of {', '.join(_FORMATS)}.")
    flags.DEFINE_list(
        "precisions",
        _PRECISIONS,
        f"What weights are stored as: of {', '.join(_PRECISIONS)}.",
    )
    flags.DEFINE_string(
        "archive",
        None,
        "Artifact to pack with model_flags.json into ARCHIVE.tar.gz, such as "
        "saved_model_float16.",
    )
    flags.DEFINE_integer(
        "max_bytes",
        1_000_000_000,
        "The archive's most bytes: the YouTube-8M challenge's 1 GB.",
    )


def class_names(num_classes: int) -> tuple[str, ...]:
    """Returns the classes' names that the flag gives, or their numbers.

    Raises:
      ValueError: The file does not name every class once.
    """
    from distill.deployment.interface import numbered_classes, read_class_names

    if FLAGS.class_names_file is None:
        return numbered_classes(num_classes)
    return read_class_names(FLAGS.class_names_file, num_classes)


def step_export(settings: Any) -> Any:
    """Returns what exports a run's student as it trains; None for nothing.

    Raises:
      ValueError: The student cannot be exported.
    """
    from distill.deployment.step_export import StepExport

    if not FLAGS.export_model_steps:
        return None
    return StepExport(
        settings,
        FLAGS.eval_data_pattern or settings.training.train_data_pattern,
        class_names(settings.data.num_classes),
        FLAGS.on_bad_record,
    )

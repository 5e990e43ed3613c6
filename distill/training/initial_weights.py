"""Starting a student from another run's checkpoint."""

from pathlib import Path

from distill.checkpoints.checkpoint import (
    CheckpointError,
    load_result,
    read_settings,
    weight_names,
)
from distill.networks.network import Network

_CLASSIFIER = "classifier/"


def load_initial_student(
    checkpoint: str | Path, student: Network, num_classes: int
) -> list[str]:
    """Loads the student of a checkpoint, all of it or its encoder.

    Where the checkpoint's classes differ in number, the classifier keeps its
    fresh weights.

    Args:
      checkpoint: A file with a group `student/`.
      student: The network to fill.
      num_classes: Classes of the student.

    Returns:
      Lines that say what was loaded.

    Raises:
      CheckpointError: The file holds no such student.
    """
    old_classes = read_settings(checkpoint).data.num_classes
    weights = weight_names(student.model)
    if old_classes == num_classes:
        load_result(checkpoint, "student", weights)
        return [f"starting from the student of {checkpoint}"]
    encoder = {
        name: weight
        for name, weight in weights.items()
        if not name.startswith(_CLASSIFIER)
    }
    load_result(checkpoint, "student", encoder)
    return [
        f"starting from the encoder of {checkpoint}; its classifier was of "
        f"{old_classes} classes, the one of {num_classes} classes starts anew"
    ]


def load_from_teacher(
    checkpoint: str | Path,
    student: Network,
    classifier_alone: bool,
    role: str | None = None,
) -> list[str]:
    """Loads a trained teacher's weights, or its classifier's, into a student.

    Args:
      checkpoint: A file with a group `teacher/` or `student/`.
      student: The network to fill.
      classifier_alone: Whether the rest keeps its fresh weights.
      role: The network of the file that teaches; None: its teacher, if any.

    Returns:
      Lines that say what was loaded.

    Raises:
      CheckpointError: The networks differ in kind or size.
    """
    weights = {
        name: weight
        for name, weight in weight_names(student.model).items()
        if name.startswith(_CLASSIFIER) or not classifier_alone
    }
    part = "classifier" if classifier_alone else "weights"
    role = role or read_settings(checkpoint).teaching
    try:
        load_result(checkpoint, role, weights)
    except CheckpointError as error:
        raise CheckpointError(
            f"The student cannot take over the teacher's {part}, which are of "
            f"another kind or size: {error}"
        ) from error
    return [f"starting with the {part} of {checkpoint}"]

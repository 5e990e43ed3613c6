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
    """Loads the student of a checkpoint; returns log lines.

    If the checkpoint has another number of classes, the classifier keeps its
    fresh weights.

    Raises:
      CheckpointError: The file holds no student that fits.
    """
    old_classes = read_settings(checkpoint).data.num_classes
    same_classes = old_classes == num_classes
    weights = {
        name: weight
        for name, weight in weight_names(student.model).items()
        if same_classes or not name.startswith(_CLASSIFIER)
    }
    load_result(checkpoint, "student", weights)
    if same_classes:
        return [f"starting from the student of {checkpoint}"]
    return [
        f"starting from the encoder of {checkpoint}; its classifier has "
        f"{old_classes} classes, so the one of {num_classes} classes starts "
        "anew"
    ]


def load_from_teacher(
    checkpoint: str | Path,
    student: Network,
    classifier_alone: bool,
    role: str | None = None,
) -> list[str]:
    """Loads a trained teacher's weights into a student; returns log lines.

    Args:
      checkpoint: A file with a group `teacher/` or `student/`.
      student: The network to fill.
      classifier_alone: Whether only the classifier is loaded.
      role: The network of the file that teaches; None: its teacher, if any,
        or else its student.

    Raises:
      CheckpointError: The networks differ in kind or size.
    """
    weights = {
        name: weight
        for name, weight in weight_names(student.model).items()
        if name.startswith(_CLASSIFIER) or not classifier_alone
    }
    loaded = "classifier" if classifier_alone else "weights"
    role = role or read_settings(checkpoint).teaching
    try:
        load_result(checkpoint, role, weights)
    except CheckpointError as error:
        raise CheckpointError(
            f"The student cannot take over the teacher's {loaded}, which "
            f"differ in kind or size: {error}"
        ) from error
    return [f"starting with the {loaded} of {checkpoint}"]

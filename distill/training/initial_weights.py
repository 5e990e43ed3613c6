"""Starting a student from another run's checkpoint."""

from pathlib import Path

from distill.networks import Network
from distill.training.checkpoints import (
    load_variables,
    read_settings,
    weight_names,
)

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
        load_variables(checkpoint, "student", weights)
        return [f"starting from the student of {checkpoint}"]
    encoder = {
        name: weight
        for name, weight in weights.items()
        if not name.startswith(_CLASSIFIER)
    }
    load_variables(checkpoint, "student", encoder)
    return [
        f"starting from the encoder of {checkpoint}; its classifier was of "
        f"{old_classes} classes, the one of {num_classes} classes starts anew"
    ]

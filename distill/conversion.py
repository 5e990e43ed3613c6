"""A run's checkpoint to its student alone, without building a model."""

import dataclasses
import json
from pathlib import Path

import h5py

from distill.atomic_files import replace_atomically
from distill.hdf5_files import new_hdf5_file
from distill.settings import RunSettings
from distill.training.checkpoints import (
    CheckpointError,
    open_checkpoint,
    result_group,
    write_attributes,
)


@dataclasses.dataclass(frozen=True)
class GroupSize:
    """What a group of a checkpoint holds.

    Attributes:
      variables: Number of its variables.
      values: Numbers in them.
      num_bytes: Bytes of them.
    """

    variables: int
    values: int
    num_bytes: int


def convert_to_student(
    checkpoint: str | Path, student_checkpoint: str | Path
) -> dict[str, GroupSize]:
    """Copies the student of a joint checkpoint to a file of its own.

    Args:
      checkpoint: A run's checkpoint. Where it holds the moving average of the
        student, that is taken.
      student_checkpoint: The file to write; one of that name is replaced.

    Returns:
      The size of every group of the joint checkpoint, by name.

    Raises:
      CheckpointError: The file is no checkpoint, or one without a student.
    """
    with open_checkpoint(checkpoint) as joint:
        settings = RunSettings.from_json(joint.attrs["settings"])
        if "student" not in joint:
            raise CheckpointError(
                f"{checkpoint} holds no student, only {sorted(joint)}."
            )
        settings = dataclasses.replace(
            settings,
            teacher=None,
            distillation=None,
            teacher_checkpoints=(),
            teacher_networks=(),
            teacher_weights=(),
        )
        kept = result_group(joint, "student")
        progress = json.loads(joint.attrs["progress"])
        with replace_atomically(student_checkpoint) as temporary:
            with new_hdf5_file(temporary) as student:
                write_attributes(student, settings, progress)
                joint.copy(kept, student, name="student")
        return {group: _measure(joint[group]) for group in joint}


def _measure(group: h5py.Group) -> GroupSize:
    datasets: list[h5py.Dataset] = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            datasets.append(item)

    group.visititems(visit)
    return GroupSize(
        len(datasets),
        sum(dataset.size for dataset in datasets),
        sum(dataset.nbytes for dataset in datasets),
    )

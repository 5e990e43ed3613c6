"""A run's checkpoint to its student alone, without building a model."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import h5py

from distill.checkpoints.checkpoint import (
    CheckpointError,
    open_checkpoint,
    result_group,
    stored_progress,
    stored_settings,
    write_attributes,
)
from distill.checkpoints.file_checks import list_datasets, read_finite
from distill.system.atomic_files import replace_atomically
from distill.system.hdf5_files import new_hdf5_file


@dataclasses.dataclass(frozen=True)
class GroupSize:
    """Numbers of variables, of values in them, and of bytes of a group."""

    variables: int
    values: int
    num_bytes: int


def convert_to_student(
    checkpoint: str | Path, student_checkpoint: str | Path
) -> dict[str, GroupSize]:
    """Copies the student of a joint checkpoint to a file of its own.

    The EMA of the student's weights is taken if the checkpoint holds it.

    Returns:
      The size of every group of the joint checkpoint, by name.

    Raises:
      CheckpointError: The file is no checkpoint, or one without a student.
    """
    with open_checkpoint(checkpoint) as joint:
        settings = stored_settings(joint)
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
        progress = stored_progress(joint)
        sizes = {group: _measure(joint[group]) for group in joint}
        num_bytes = sizes[kept].num_bytes
        with (
            replace_atomically(student_checkpoint, num_bytes) as temporary,
            new_hdf5_file(temporary) as student,
        ):
            write_attributes(student, settings, progress)
            student.create_group("student")
            for name, dataset in list_datasets(joint[kept]).items():
                student[f"student/{name}"] = read_finite(dataset)
        return sizes


def _measure(group: h5py.Group) -> GroupSize:
    datasets = list_datasets(group).values()
    return GroupSize(
        len(datasets),
        sum(dataset.size for dataset in datasets),
        sum(dataset.nbytes for dataset in datasets),
    )


def print_conversion(
    checkpoint: str | Path,
    student_checkpoint: str | Path,
    sizes: Mapping[str, GroupSize],
) -> None:
    """Prints the groups that a conversion kept and left out, and file sizes."""
    result = "student_ema" if "student_ema" in sizes else "student"
    for group, size in sizes.items():
        verb = "kept" if group == result else "left out"
        print(
            f"{verb} {group}: {size.variables} variables, {size.values:,} "
            f"values, {size.num_bytes / 1e6:.1f} MB"
        )
    for path in (checkpoint, student_checkpoint):
        print(f"{path}: {Path(path).stat().st_size / 1e6:.1f} MB")

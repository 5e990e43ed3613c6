"""A run's checkpoint to its student alone, without building a model."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from distill.checkpoints.bias_rescaling import (
    find_last_bias,
    rescale_bias,
)
from distill.checkpoints.checkpoint import (
    CheckpointError,
    find_checkpoint,
    open_checkpoint,
    result_group,
    stored_progress,
    stored_settings,
    write_attributes,
)
from distill.checkpoints.file_checks import list_datasets, read_finite
from distill.settings.run import RunSettings
from distill.system.atomic_files import replace_atomically
from distill.system.hdf5_files import new_hdf5_file
from distill.system.storage import to_path


def convert(
    checkpoint: str | Path,
    student_checkpoint: str | Path,
    bias_alpha: float | None = None,
) -> list[str]:
    """Copies the student of a joint checkpoint to a file of its own.

    The EMA of the student's weights is taken if the checkpoint holds it. No
    model is built.

    Args:
      checkpoint: The file, or a run's directory: its `best.h5` or else its
        newest checkpoint.
      student_checkpoint: The file to write, `.h5`; an earlier one is replaced.
      bias_alpha: Divisor of the last layer's biases about their mean.

    Returns:
      Lines with the sizes of the groups kept and left out, and of both files;
      of divided biases the spread.

    Raises:
      CheckpointError: The file is no checkpoint, or one without a student.
      ValueError: `bias_alpha` is not above 0, or there is no such bias.

    Examples:
      >>> lines = distill.convert("runs/joint", "runs/student.h5")
      >>> [line.split(":")[0] for line in lines if line.startswith("kept")]
      ['kept student']
    """
    checkpoint = find_checkpoint(checkpoint)
    with open_checkpoint(checkpoint) as joint:
        settings = stored_settings(joint)
        if "student" not in joint:
            raise CheckpointError(
                f"{checkpoint} holds no student, only {sorted(joint)}."
            )
        settings = _of_student(settings)
        kept = result_group(joint, "student")
        progress = stored_progress(joint)
        lines = list(_describe_groups(joint, kept))
        weights = list_datasets(joint[kept])
        num_bytes = sum(dataset.nbytes for dataset in weights.values())
        rescaled: dict[str, np.ndarray] = {}
        if bias_alpha is not None:
            rescaled, line = _rescale_bias(weights, bias_alpha)
            lines.append(line)
        with (
            replace_atomically(student_checkpoint, num_bytes) as temporary,
            new_hdf5_file(temporary) as student,
        ):
            write_attributes(student, settings, progress)
            student.create_group("student")
            for name, dataset in weights.items():
                student[f"student/{name}"] = (
                    rescaled[name] if name in rescaled else read_finite(dataset)
                )
    return lines + [
        f"{path}: {to_path(path).stat().st_size / 1e6:.1f} MB"
        for path in (checkpoint, student_checkpoint)
    ]


def _describe_groups(joint: h5py.File, kept: str) -> Iterator[str]:
    """Yields a line with the size of each group of a checkpoint."""
    for group in joint:
        datasets = list_datasets(joint[group]).values()
        verb = "kept" if group == kept else "left out"
        num_values = sum(dataset.size for dataset in datasets)
        num_bytes = sum(dataset.nbytes for dataset in datasets)
        yield (
            f"{verb} {group}: {len(datasets)} variables, {num_values:,} "
            f"values, {num_bytes / 1e6:.1f} MB"
        )


def _rescale_bias(
    weights: Mapping[str, h5py.Dataset], alpha: float
) -> tuple[dict[str, np.ndarray], str]:
    """Returns the last layer's new biases by name, and what became of them."""
    name = find_last_bias(weights)
    before = read_finite(weights[name])
    after = rescale_bias(before, alpha)
    return {name: after}, (
        f"divided {name} by {alpha:g} about its mean: standard deviation "
        f"{before.std():.4g} -> {after.std():.4g}"
    )


def _of_student(settings: RunSettings) -> RunSettings:
    """Returns the settings without teachers."""
    return dataclasses.replace(
        settings,
        teacher=None,
        distillation=None,
        teacher_checkpoints=(),
        teacher_networks=(),
        teacher_weights=(),
    )

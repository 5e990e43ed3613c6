"""The mean of the weights of several checkpoints of one run, or of like runs.

Izmailov et al., "Averaging weights leads to wider optima and better
generalization", UAI 2018. Statistics of batch normalisation are averaged as
the weights are.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from distill.checkpoints.checkpoint import (
    NETWORK_GROUPS,
    CheckpointError,
    open_checkpoint,
    require_checkpoints,
    stored_progress,
    stored_settings,
    write_attributes,
)
from distill.checkpoints.file_checks import list_datasets, read_finite
from distill.models.argument_checks import check_at_least
from distill.settings.run import RunSettings, changed_settings
from distill.system.atomic_files import replace_atomically
from distill.system.hdf5_files import new_hdf5_file
from distill.system.storage import place_of

Paths = Sequence[str | Path]


def average_checkpoints(checkpoints: Paths, output: str | Path) -> list[str]:
    """Writes the mean of checkpoints' networks as a checkpoint.

    Each group is averaged over the files: `student` with `student` and, where
    the EMA is the result, `student_ema` with `student_ema`, which stays the
    result. Optimiser, random states and projections are left out: no run goes
    on from the mean. The mean is taken in double precision, one dataset at a
    time.

    Args:
      checkpoints: Two files or more. The mean takes settings and progress
        from the last one.
      output: The file to write, none of them.

    Returns:
      The names of the groups that were averaged.

    Raises:
      CheckpointError: A file is no checkpoint, or they differ in the data or
        the networks.
      ValueError: Fewer than two files, or one of them twice.
    """
    _check_names(checkpoints, output)
    with contextlib.ExitStack() as opened:
        files = [
            opened.enter_context(open_checkpoint(path)) for path in checkpoints
        ]
        settings = _common_settings(checkpoints, files)
        datasets = _common_datasets(checkpoints, files)
        with (
            replace_atomically(output) as temporary,
            new_hdf5_file(temporary) as mean,
        ):
            write_attributes(mean, settings, stored_progress(files[-1]))
            for name in datasets:
                mean[name] = _mean(name, files)
    return sorted({name.split("/", 1)[0] for name in datasets})


def choose_steps(directory: str | Path, steps: str) -> list[Path]:
    """Returns a run's checkpoints of the steps `FROM-TO`, both included.

    Raises:
      ValueError: `steps` is no range, or there is no checkpoint in it.
    """
    first, separator, last = steps.partition("-")
    if not (separator and first.isdecimal() and last.isdecimal()):
        raise ValueError(
            f"--steps must be FROM-TO in whole numbers, such as 100-500, got "
            f"{steps!r}."
        )
    held = {
        int(path.stem.split("-")[1]): path
        for path in require_checkpoints(directory)
    }
    found = [p for step, p in held.items() if int(first) <= step <= int(last)]
    if not found:
        raise CheckpointError(
            f"--steps={steps}: {directory} holds no checkpoint of these steps, "
            f"only of {', '.join(map(str, held))}."
        )
    return found


def choose_last(directory: str | Path, number: int) -> list[Path]:
    """Returns a run's newest checkpoints, the last one last.

    Raises:
      ValueError: There are fewer.
    """
    check_at_least(2, **{"--last": number})
    held = require_checkpoints(directory)
    if len(held) < number:
        raise CheckpointError(
            f"--last={number}: {directory} holds only {len(held)} checkpoints "
            "(--keep_checkpoints of its run is the number to keep)."
        )
    return held[-number:]


def _check_names(checkpoints: Paths, output: str | Path) -> None:
    if len(checkpoints) < 2:
        raise ValueError(
            f"A mean takes two checkpoints or more, got {len(checkpoints)}."
        )
    places = [place_of(path) for path in checkpoints]
    for path, place in zip(checkpoints, places, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"{path} is given twice.")
    if place_of(output) in places:
        raise ValueError(f"{output} is itself one of the checkpoints.")


def _common_settings(
    checkpoints: Paths, files: Sequence[h5py.File]
) -> RunSettings:
    """Returns the last file's settings; the others agree in what matters."""
    *others, last = (stored_settings(file) for file in files)
    whole = last.with_all_arguments()
    for path, settings in zip(checkpoints, others, strict=False):
        changed = changed_settings(settings.with_all_arguments(), whole)
        for name, change in changed.items():
            if name.split(".")[0] in ("data", "teacher", "student"):
                raise CheckpointError(
                    f"{path} and {checkpoints[-1]} differ in {name}: {change}. "
                    "Only networks of one kind have a mean."
                )
    return last


def _common_datasets(
    checkpoints: Paths, files: Sequence[h5py.File]
) -> list[str]:
    *others, last = map(_shapes, files)
    if not last:
        raise CheckpointError(
            f"{checkpoints[-1]} holds no teacher and no student, only "
            f"{sorted(files[-1])}."
        )
    for path, shapes in zip(checkpoints, others, strict=False):
        for name in sorted(shapes.keys() | last.keys()):
            held, wanted = shapes.get(name), last.get(name)
            if held != wanted:
                raise CheckpointError(
                    f"{name} is {_describe(held)} in {path}, but "
                    f"{_describe(wanted)} in {checkpoints[-1]}."
                )
    return list(last)


def _describe(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of the shape {shape}"


def _shapes(file: h5py.File) -> dict[str, tuple[int, ...]]:
    return {
        f"{group}/{name}": dataset.shape
        for group in NETWORK_GROUPS
        if group in file
        for name, dataset in list_datasets(file[group]).items()
    }


def _mean(name: str, files: Sequence[h5py.File]) -> np.ndarray:
    total = np.zeros(files[0][name].shape, np.float64)
    for file in files:
        if file[name].dtype != np.float32:
            raise CheckpointError(
                f"{file.filename}: {name} holds {file[name].dtype} numbers, "
                "weights are float32."
            )
        total += read_finite(file[name])
    return (total / len(files)).astype(np.float32)

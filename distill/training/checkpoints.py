"""Checkpoints: one HDF5 file each, whole or not there at all.

Groups `teacher/`, `student/`, `optimizer/`, `random_state/` and, where
embeddings differ in width, `projection/` hold one dataset a variable, named
by a stable path such as `student/lower/lstm_0/kernel`. Where moving averages
are the run's result, `teacher_average/` and `student_average/` hold them. The
file's attributes hold the run's settings and how far it had come.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from distill.atomic_files import replace_atomically
from distill.hdf5_files import new_hdf5_file
from distill.settings import RunSettings
from distill.training.signals import remember_interrupt

FORMAT = "distill-checkpoint-1"
AVERAGE_SUFFIX = "_average"
_NAME = re.compile(r"checkpoint-(\d{8,})\.h5")


class CheckpointError(ValueError):
    """A file that is no checkpoint, or not the one that is needed."""


def weight_names(model: keras.Layer) -> dict[str, keras.Variable]:
    """Names a model's weights by the path of their layer within the model.

    The cell that Keras puts into every recurrent layer is left out of the
    name.
    """
    return _unique(
        (re.sub(r"/\w+_cell/", "/", weight.path.split("/", 1)[1]), weight)
        for weight in model.weights
    )


def random_state_names(model: keras.Model) -> dict[str, keras.Variable]:
    """Numbers the states of a model's random generators in their order."""
    weights = {id(weight) for weight in model.weights}
    states = [v for v in model.variables if id(v) not in weights]
    return {f"generator_{index}": state for index, state in enumerate(states)}


def optimizer_names(
    optimizer: keras.optimizers.Optimizer,
) -> dict[str, keras.Variable]:
    """Names an optimiser's variables."""
    return _unique(
        (variable.path.split("/", 1)[1], variable)
        for variable in optimizer.variables
    )


def _unique(pairs) -> dict[str, keras.Variable]:
    named: dict[str, keras.Variable] = {}
    for name, variable in pairs:
        if name in named:
            raise ValueError(f"Two variables have the name {name!r}.")
        named[name] = variable
    return named


def write_checkpoint(
    path: Path,
    groups: Mapping[str, Mapping[str, keras.Variable]],
    settings: RunSettings,
    progress: Mapping[str, Any],
) -> None:
    """Writes a checkpoint: to a temporary name, synced, then renamed.

    Args:
      path: The file's final name; a file of that name is replaced.
      groups: Variables by group and name.
      settings: The run's settings.
      progress: How far the run had come: numbers and strings by name.
    """
    with replace_atomically(path) as temporary:
        with new_hdf5_file(temporary) as file:
            write_attributes(file, settings, progress)
            for group, variables in groups.items():
                file.create_group(group)
                for name, variable in variables.items():
                    file[f"{group}/{name}"] = np.asarray(variable)


def write_attributes(
    file: h5py.File, settings: RunSettings, progress: Mapping[str, Any]
) -> None:
    """Writes what `read_settings` and `read_progress` read."""
    file.attrs["format"] = FORMAT
    file.attrs["settings"] = settings.to_json()
    file.attrs["progress"] = json.dumps(dict(progress))


def open_checkpoint(path: str | Path) -> h5py.File:
    """Opens a checkpoint for reading.

    Raises:
      CheckpointError: There is no such file, or it is no checkpoint.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise CheckpointError(
            f"{path} is no checkpoint: it is no whole HDF5 file."
        ) from error
    if file.attrs.get("format") != FORMAT:
        file.close()
        raise CheckpointError(
            f"{path} is an HDF5 file, but no checkpoint of this toolkit."
        )
    return file


def result_group(file: h5py.File, which: str) -> str:
    """Returns the group of a network's result in an open checkpoint.

    That is its moving average if there is one, else the weights themselves.
    """
    average = which + AVERAGE_SUFFIX
    return average if average in file else which


def load_result(
    path: str | Path, which: str, variables: Mapping[str, keras.Variable]
) -> None:
    """Loads the result of the `teacher` or `student` of a checkpoint.

    Raises:
      CheckpointError: As `load_variables`.
    """
    with open_checkpoint(path) as file:
        group = result_group(file, which)
    load_variables(path, group, variables)


def read_settings(path: str | Path) -> RunSettings:
    """Returns the settings of the run that wrote a checkpoint."""
    with open_checkpoint(path) as file:
        return RunSettings.from_json(file.attrs["settings"])


def read_progress(path: str | Path) -> dict[str, Any]:
    """Returns how far the run that wrote a checkpoint had come."""
    with open_checkpoint(path) as file:
        return json.loads(file.attrs["progress"])


def load_variables(
    path: str | Path, group: str, variables: Mapping[str, keras.Variable]
) -> None:
    """Loads one group of a checkpoint into variables.

    Args:
      path: The checkpoint.
      group: Name of the group.
      variables: The variables to fill, by name.

    Raises:
      CheckpointError: The group or a variable is missing, or a shape differs;
        then no variable has been changed.
    """
    with open_checkpoint(path) as file:
        if group not in file:
            raise CheckpointError(
                f"{path} holds no {group}; it holds {sorted(file)}."
            )
        stored = file[group]
        for name, variable in variables.items():
            if name not in stored:
                raise CheckpointError(f"{path} holds no {group}/{name}.")
            if stored[name].shape != tuple(variable.shape):
                raise CheckpointError(
                    f"{path}: {group}/{name} has the shape "
                    f"{stored[name].shape}, the model needs "
                    f"{tuple(variable.shape)}."
                )
        for name, variable in variables.items():
            variable.assign(stored[name][()])


def list_checkpoints(directory: str | Path) -> list[Path]:
    """Returns a run's checkpoints in the order of their steps."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(_NAME.fullmatch(path.name)[1]))


def newest_checkpoint(directory: str | Path) -> Path:
    """Returns a run's checkpoint of the greatest step.

    Raises:
      CheckpointError: There is none.
    """
    checkpoints = list_checkpoints(directory)
    if not checkpoints:
        raise CheckpointError(f"There is no checkpoint in {directory}.")
    return checkpoints[-1]


def checkpoint_path(directory: Path, step: int) -> Path:
    """Returns the name of the checkpoint of a step."""
    return directory / f"checkpoint-{step:08d}.h5"


def choose_checkpoint(
    checkpoint: str | None, directory: str | None
) -> str | Path:
    """Returns the named checkpoint, or the newest one of a directory.

    Raises:
      CheckpointError: Neither is given, or the directory holds none.
    """
    if checkpoint is not None:
        return checkpoint
    if directory is None:
        raise CheckpointError("Give a value to --checkpoint or --train_dir.")
    return newest_checkpoint(directory)


def follow(directory: str | Path, poll_seconds: float) -> Iterator[Path]:
    """Yields the newest checkpoint whenever there is a new one.

    Ends by a KeyboardInterrupt alone.
    """
    last = None
    with remember_interrupt() as interrupted:
        while not interrupted:
            found = list_checkpoints(directory)
            if found and found[-1] != last:
                last = found[-1]
                yield last
            else:
                time.sleep(poll_seconds)
    raise KeyboardInterrupt

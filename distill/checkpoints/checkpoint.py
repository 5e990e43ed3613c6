"""Checkpoints: one HDF5 file each, whole or not there at all.

Groups `teacher/`, `student/`, `optimizer/`, `random_state/` and, where
embeddings differ in width, `projection/` hold one dataset a variable, named
by a stable path such as `student/lower/lstm_0/kernel`. `teacher_ema/` and
`student_ema/` hold the EMA of the weights, where it is the run's result. The
file's attributes hold the run's settings, its progress and, where a run goes
on from the file, what it has read.
"""

import dataclasses
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from distill.checkpoints.file_checks import (
    FORMAT,
    INPUTS,
    MOST_TEXT_BYTES,
    CheckpointError,
    open_checkpoint,
    read_finite,
    read_text,
)
from distill.checkpoints.finite import NonFiniteError, is_finite
from distill.checkpoints.inputs import RunInputs
from distill.checkpoints.progress import parse_progress
from distill.settings.run import RunSettings
from distill.system.atomic_files import replace_atomically
from distill.system.hdf5_files import new_hdf5_file
from distill.system.signals import remember_interrupt
from distill.system.storage import to_path

BEST_NAME = "best.h5"
EMA_SUFFIX = "_ema"
# Evaluation, conversion and averaging read these; the rest is to resume.
NETWORK_GROUPS = (
    "teacher",
    "student",
    "teacher" + EMA_SUFFIX,
    "student" + EMA_SUFFIX,
)
# The least that HDF5 writes for a dataset beside its values.
_HEADER_BYTES = 512
_NAME = re.compile(r"checkpoint-(\d{8,})\.h5")


def weight_names(
    model: keras.Layer, prefix: str = ""
) -> dict[str, keras.Variable]:
    """Names a model's weights by the path of their layer within the model.

    The cell that Keras puts into every recurrent layer is left out of the
    name. Only names that begin with the prefix are returned.
    """
    named = _unique(
        (re.sub(r"/\w+_cell/", "/", weight.path.split("/", 1)[1]), weight)
        for weight in model.weights
    )
    return {n: weight for n, weight in named.items() if n.startswith(prefix)}


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


def _unique(
    pairs: Iterable[tuple[str, keras.Variable]],
) -> dict[str, keras.Variable]:
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
    inputs: RunInputs | None = None,
) -> None:
    """Writes variables by group and name: whole or not at all.

    `inputs` are the files that the run has read; None: they are not stored.

    Raises:
      NonFiniteError: A variable holds a value that is NaN or infinite; the
        file that was there stays.
    """
    num_bytes = sum(
        math.prod(variable.shape) * np.dtype(variable.dtype).itemsize
        + _HEADER_BYTES
        for variables in groups.values()
        for variable in variables.values()
    )
    with (
        replace_atomically(path, num_bytes) as temporary,
        new_hdf5_file(temporary) as file,
    ):
        write_attributes(file, settings, progress, inputs)
        for group, variables in groups.items():
            file.create_group(group)
            for name, variable in variables.items():
                values = np.asarray(variable)
                if not is_finite(values):
                    raise NonFiniteError(
                        f"{group}/{name} holds a value that is NaN or "
                        f"infinite: {path} is not written."
                    )
                file[f"{group}/{name}"] = values


def write_attributes(
    file: h5py.File,
    settings: RunSettings,
    progress: Mapping[str, Any],
    inputs: RunInputs | None = None,
) -> None:
    """Writes a checkpoint's attributes, texts of fixed length.

    Raises:
      ValueError: The settings are too long for an attribute.
    """
    texts = {
        "format": FORMAT,
        "settings": settings.to_json(),
        "progress": json.dumps(dict(progress)),
    }
    if inputs is not None:
        texts[INPUTS] = inputs.to_json()
    for name, text in texts.items():
        contents = text.encode()
        if len(contents) > MOST_TEXT_BYTES:
            raise ValueError(
                f"The {name} take {len(contents):,} bytes, a checkpoint holds "
                f"at most {MOST_TEXT_BYTES:,}."
            )
        file.attrs[name] = np.bytes_(contents)


def result_group(file: h5py.File, role: str) -> str:
    """Returns the group of a network's result in an open checkpoint.

    That is the EMA of the weights if there is one, else the weights.
    """
    average = role + EMA_SUFFIX
    return average if average in file else role


def read_settings(path: str | Path) -> RunSettings:
    """Returns the settings of the run that wrote a checkpoint.

    Raises:
      CheckpointError: The file is no checkpoint, or its settings are invalid.
    """
    with open_checkpoint(path) as file:
        return stored_settings(file)


def stored_settings(file: h5py.File) -> RunSettings:
    """Returns the settings that an open checkpoint holds."""
    return _parse(file, "settings", RunSettings.from_json)


def read_progress(path: str | Path) -> dict[str, Any]:
    """Returns the progress of a checkpoint's run: fields of `Progress`.

    Raises:
      CheckpointError: The file is no checkpoint, or its progress is invalid.
    """
    with open_checkpoint(path) as file:
        return stored_progress(file)


def stored_progress(file: h5py.File) -> dict[str, Any]:
    """Returns the progress that an open checkpoint holds."""
    return dataclasses.asdict(_parse(file, "progress", parse_progress))


def read_inputs(path: str | Path) -> RunInputs | None:
    """Returns what the run of a checkpoint has read.

    It is None where the file does not say so: of an earlier version, say.

    Raises:
      CheckpointError: The file is no checkpoint, or this text is invalid.
    """
    with open_checkpoint(path) as file:
        return stored_inputs(file)


def stored_inputs(file: h5py.File) -> RunInputs | None:
    """Returns what the run of an open checkpoint has read, if it says so."""
    if INPUTS not in file.attrs:
        return None
    return _parse(file, INPUTS, RunInputs.from_json)


def _parse(file: h5py.File, name: str, parse: Callable[[str], Any]) -> Any:
    text = read_text(file, name)
    try:
        return parse(text)
    except ValueError as error:
        raise CheckpointError(
            f"{file.filename}: its {name} cannot be read: "
            f"{str(error).removesuffix('.')}."
        ) from error


def load_result(
    path: str | Path, role: str, variables: Mapping[str, keras.Variable]
) -> None:
    """Loads the result of the `teacher` or `student` of a checkpoint.

    Raises:
      CheckpointError: As `load_variables`.
    """
    with open_checkpoint(path) as file:
        _load(file, result_group(file, role), variables)


def load_variables(
    path: str | Path, group: str, variables: Mapping[str, keras.Variable]
) -> None:
    """Loads one group of a checkpoint into variables, by their names.

    Raises:
      CheckpointError: The group or a variable is missing, a shape differs, or
        a value is NaN or infinite; then no variable has been changed.
    """
    with open_checkpoint(path) as file:
        _load(file, group, variables)


def _load(
    file: h5py.File, group: str, variables: Mapping[str, keras.Variable]
) -> None:
    path = file.filename
    if group not in file:
        raise CheckpointError(
            f"{path} holds no {group}; it holds {sorted(file)}."
        )
    stored = file[group]
    for name, variable in variables.items():
        if name not in stored:
            raise CheckpointError(f"{path} holds no {group}/{name}.")
        _check_fit(f"{path}: {group}/{name}", stored[name], variable)
    # Read twice, so that no more than one of them is in memory.
    for name in variables:
        read_finite(stored[name])
    for name, variable in variables.items():
        variable.assign(stored[name][()])


def _check_fit(
    place: str, stored: h5py.Dataset | h5py.Group, variable: keras.Variable
) -> None:
    if not isinstance(stored, h5py.Dataset):
        raise CheckpointError(f"{place} is a group, not a variable.")
    if stored.shape != tuple(variable.shape):
        raise CheckpointError(
            f"{place} has the shape {stored.shape}, the model needs "
            f"{tuple(variable.shape)}."
        )
    if (stored.dtype.kind == "f") != ("float" in variable.dtype):
        raise CheckpointError(
            f"{place} holds {stored.dtype} numbers, the model needs "
            f"{variable.dtype}."
        )


def checkpoint_path(directory: Path, step: int) -> Path:
    """Returns the name of the checkpoint of a step."""
    return directory / f"checkpoint-{step:08d}.h5"


def list_checkpoints(directory: str | Path) -> list[Path]:
    """Returns a run's checkpoints in the order of their steps."""
    directory = to_path(directory)
    if not directory.is_dir():
        return []
    found = [(_NAME.fullmatch(path.name), path) for path in directory.iterdir()]
    return [path for _, path in sorted((int(m[1]), p) for m, p in found if m)]


def require_checkpoints(directory: str | Path) -> list[Path]:
    """Returns a run's checkpoints in the order of their steps.

    Raises:
      CheckpointError: There is none.
    """
    if checkpoints := list_checkpoints(directory):
        return checkpoints
    raise CheckpointError(f"There is no checkpoint in {directory}.")


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
    return require_checkpoints(directory)[-1]


def initial_settings(
    checkpoint: str | Path, directory: str | Path | None
) -> Path | str:
    """Returns the file whose settings a run that starts from one takes over.

    That is the checkpoint itself; where it is gone, the newest checkpoint of
    the run, whose directory holds all that it took over.
    """
    if directory is None or to_path(checkpoint).exists():
        return checkpoint
    return next(reversed(list_checkpoints(directory)), checkpoint)


def find_checkpoint(path: str | Path) -> Path:
    """Returns a file as it is; of a run's directory the best or the newest.

    Raises:
      CheckpointError: The directory holds no checkpoint.
    """
    path = to_path(path)
    # A directory with the name of a file is refused when it is opened.
    if not path.is_dir() or path.suffix == ".h5":
        return path
    best = path / BEST_NAME
    return best if best.exists() else require_checkpoints(path)[-1]


def follow(directory: str | Path, poll_seconds: float) -> Iterator[Path]:
    """Yields the newest checkpoint whenever there is a new one.

    Only a KeyboardInterrupt or `Terminated` ends it.
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
    raise interrupted[0]

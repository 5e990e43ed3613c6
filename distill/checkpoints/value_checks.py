"""Values of an open checkpoint: texts, progress, variables, each checked."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5s, h5t

from distill.checkpoints.progress import read_progress_fields
from distill.system.small_files import MOST_BYTES, parse_json_object

# What h5py raises at a file that is damaged.
DAMAGE = (
    AttributeError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    UnicodeError,
    ValueError,
)


class CheckpointError(ValueError):
    """A file that is no checkpoint, or not the one that is needed."""


def describe_damage(error: Exception) -> str:
    """Returns what h5py says of a damaged file, in one line."""
    reason = str(error).strip().split("\n")[0].rstrip(".")
    return f"it is damaged ({reason})"


def read_attribute(file: h5py.File, name: str) -> str:
    """Returns a text that an open checkpoint has as an attribute.

    Raises:
      CheckpointError: It is missing, no text, or too long.
    """
    place = f"{file.filename}: its attribute {name!r}"
    try:
        if name not in file.attrs:
            raise CheckpointError(f"{place} is missing.")
        value = _read_text(file.attrs, name)
    except CheckpointError:
        raise
    except DAMAGE as error:
        reason = describe_damage(error)
        raise CheckpointError(f"{place} cannot be read: {reason}.") from error
    if not isinstance(value, str):
        raise CheckpointError(f"{place} is no text.")
    if len(value) > MOST_BYTES:
        raise CheckpointError(
            f"{place} has {len(value):,} characters, more than {MOST_BYTES:,}."
        )
    return value


def _read_text(attributes, name):
    """Returns an attribute if it is one text, else None."""
    attribute = attributes.get_id(name)
    is_text = attribute.get_type().get_class() == h5t.STRING
    is_scalar = attribute.get_space().get_simple_extent_type() == h5s.SCALAR
    return attributes[name] if is_text and is_scalar else None


def parse_progress(text: str) -> dict[str, Any]:
    """Returns the fields of `Progress`, from its JSON.

    Raises:
      ValueError: It is no such object, or a number of it cannot be.
    """
    progress = read_progress_fields(parse_json_object(text))
    return dataclasses.asdict(progress)


def check_variable(path: str | Path, name: str, stored: Any, variable: Any):
    """Checks that a stored value fits a variable, in shape and in kind.

    Args:
      path: The checkpoint.
      name: What errors call it.
      stored: What the file holds under its name.
      variable: The `keras.Variable`.

    Raises:
      CheckpointError: It does not, or is no dataset.
    """
    if not isinstance(stored, h5py.Dataset):
        raise CheckpointError(f"{path}: {name} is a group, not a variable.")
    if stored.shape != tuple(variable.shape):
        raise CheckpointError(
            f"{path}: {name} has the shape {stored.shape}, the model needs "
            f"{tuple(variable.shape)}."
        )
    wanted = variable.dtype
    if (stored.dtype.kind == "f") != ("float" in wanted):
        raise CheckpointError(
            f"{path}: {name} holds {stored.dtype} numbers, the model needs "
            f"{wanted}."
        )


def list_datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Returns all datasets below a group of an open checkpoint, by name.

    Raises:
      CheckpointError: The file is damaged.
    """
    found: dict[str, h5py.Dataset] = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item

    with damage_refused(group):
        group.visititems(visit)
    return found


@contextlib.contextmanager
def damage_refused(held: h5py.Group | h5py.Dataset) -> Iterator[None]:
    """Turns what h5py raises while a part of a checkpoint is read.

    Raises:
      CheckpointError: The file is damaged.
    """
    path = held.file.filename
    try:
        yield
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint: {describe_damage(error)}."
        ) from error


def is_finite(values: np.ndarray) -> bool:
    """Returns whether no number is NaN or infinite, in no memory of its own."""
    if values.dtype.kind in "iub" or not values.size:
        return True
    # Both are NaN where a value is.
    return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def read_finite(dataset: h5py.Dataset) -> np.ndarray:
    """Returns the values of a dataset of an open checkpoint.

    Raises:
      CheckpointError: One is NaN or infinite.
    """
    with damage_refused(dataset):
        values = dataset[()]
    if not is_finite(values):
        raise CheckpointError(
            f"{dataset.file.filename}: {dataset.name.lstrip('/')} holds a "
            "value that is NaN or infinite."
        )
    return values


def check_finite(group: h5py.Group) -> None:
    """Checks all values of a group of an open checkpoint.

    Raises:
      CheckpointError: One is NaN or infinite.
    """
    for dataset in list_datasets(group).values():
        read_finite(dataset)

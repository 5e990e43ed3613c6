"""Checks of a checkpoint's file before anything of it is read.

A checkpoint is data of unknown origin. The toolkit writes groups of contiguous
datasets of plain numbers, each under one name, and three or four attributes,
texts of fixed length. All else that HDF5 can hold (links to other places or
files, filters, chunks, virtual datasets, objects) is refused here, before
memory is taken for it. So is every type of variable length: its values lie in
heaps whose damaged sizes the HDF5 library follows without an end or into all
memory ("HDF5 File Format Specification", III.E), while the type alone is read
from the object's header.
"""

import contextlib
import math
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5o, h5s, h5t

from distill.checkpoints.finite import is_finite
from distill.system.hdf5_files import (
    DAMAGE_ERRORS,
    hdf5_reason,
    open_hdf5_file,
    system_errno,
)
from distill.system.storage import to_path

FORMAT = "distill-checkpoint-1"
# Its header limits an HDF5 object's attribute to 64 KiB.
MOST_TEXT_BYTES = 64_000
INPUTS = "inputs"
_ATTRIBUTES = ("format", "settings", "progress")
_NUMBERS = (
    h5t.IEEE_F32LE,
    h5t.IEEE_F64LE,
    h5t.STD_I32LE,
    h5t.STD_I64LE,
    h5t.STD_U32LE,
    h5t.STD_U64LE,
)
_MOST_OBJECTS = 20_000
_MOST_DEPTH = 32


class CheckpointError(ValueError):
    """A file that is no checkpoint, or not the one that is needed."""


class CheckpointGoneError(CheckpointError):
    """There is no file of that name, or none any more."""


class UnsafeHdf5Error(Exception):
    """The reason why an HDF5 file is refused."""


@contextlib.contextmanager
def refuse_damage(path: str | Path) -> Iterator[None]:
    """Turns errors of reading a checkpoint into a CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except UnsafeHdf5Error as error:
        raise CheckpointError(f"{path} is no checkpoint: {error}.") from error
    except FileNotFoundError as error:
        raise _gone(path) from error
    except DAMAGE_ERRORS as error:
        raise _unreadable(path, error) or CheckpointError(
            f"{path} is no checkpoint: it is damaged ({hdf5_reason(error)})."
        ) from error


def _gone(path: str | Path) -> CheckpointGoneError:
    return CheckpointGoneError(
        f"{path} is gone: it was removed while it was to be read."
    )


def _unreadable(path: str | Path, error: Exception) -> CheckpointError | None:
    """Returns the error of a file that the system does not read."""
    if system_errno(error) is None:
        return None
    return CheckpointError(f"{path} cannot be read: {hdf5_reason(error)}.")


def open_checkpoint(path: str | Path) -> h5py.File:
    """Opens a checkpoint for reading, once all that it holds is checked.

    Raises:
      CheckpointError: There is no such file, or it is no checkpoint; no
        dataset of it has been read.
    """
    size = _check_regular(path)
    try:
        file = open_hdf5_file(path)
    except FileNotFoundError as error:
        raise _gone(path) from error
    except DAMAGE_ERRORS as error:
        raise _unreadable(path, error) or CheckpointError(
            f"{path} is no checkpoint: it is no whole HDF5 file."
        ) from error
    with contextlib.ExitStack() as stack:
        stack.enter_context(file)
        with refuse_damage(path):
            has_format = "format" in file.attrs
            if has_format:
                _check_attributes(file.id)
            if not has_format or read_text(file, "format") != FORMAT:
                raise CheckpointError(
                    f"{path} is an HDF5 file, but no checkpoint of this "
                    "toolkit."
                )
            check_objects(file, size)
        stack.pop_all()
    return file


def read_text(file: h5py.File, name: str) -> str:
    """Returns the text of an attribute; CheckpointError if there is none."""
    with refuse_damage(file.filename):
        if name not in file.attrs:
            raise UnsafeHdf5Error(f"its attribute {name!r} is missing")
        return file.attrs[name].decode("utf-8")


def list_datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Returns the datasets below a group; CheckpointError if it is damaged."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item

    with refuse_damage(group.file.filename):
        group.visititems(visit)
    return found


def read_finite(dataset: h5py.Dataset) -> np.ndarray:
    """Returns the values of a dataset of an open checkpoint.

    Raises:
      CheckpointError: A value is NaN or infinite, or the file is damaged.
    """
    path = dataset.file.filename
    with refuse_damage(path):
        values = dataset[()]
    if not is_finite(values):
        raise CheckpointError(
            f"{path}: {dataset.name.lstrip('/')} holds a value that is NaN or "
            "infinite."
        )
    return values


def _check_regular(path: str | Path) -> int:
    try:
        found = to_path(path).stat()
    except FileNotFoundError as error:
        raise CheckpointGoneError(f"There is no checkpoint {path}.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is no checkpoint: {error}.") from error
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f"{path} is no checkpoint: it is no file.")
    return found.st_size


def _check_attributes(root: h5g.GroupID) -> None:
    """Checks the file's attributes by their types; reads no value."""
    known: tuple[str, ...] = _ATTRIBUTES
    if h5a.exists(root, INPUTS.encode()):
        known += (INPUTS,)
    if h5a.get_num_attrs(root) > len(known):
        raise UnsafeHdf5Error(f"it has more than {len(known)} attributes")
    for index in range(h5a.get_num_attrs(root)):
        attribute = h5a.open(root, index=index)
        name = attribute.name.decode("utf-8", "surrogateescape")
        if name not in known:
            raise UnsafeHdf5Error(f"it has the attribute {name!a}")
        kind = attribute.get_type()
        if (
            kind.get_class() != h5t.STRING
            or kind.is_variable_str()
            or attribute.get_space().get_simple_extent_type() != h5s.SCALAR
        ):
            raise UnsafeHdf5Error(
                f"its attribute {name!r} is no text of fixed length"
            )
        if kind.get_size() > MOST_TEXT_BYTES:
            raise UnsafeHdf5Error(
                f"its attribute {name!r} has {kind.get_size():,} bytes, more "
                f"than {MOST_TEXT_BYTES:,}"
            )


def check_objects(
    file: h5py.File, size: int, group_attributes: Collection[str] = ()
) -> None:
    """Checks every group and dataset of an HDF5 file; reads no value.

    Args:
      file: The open file.
      size: Its bytes.
      group_attributes: Names of attributes that a group may have.

    Raises:
      UnsafeHdf5Error: It holds links, values that are not in it, or else what
        no writer of weights needs.
    """
    if file.userblock_size:
        raise UnsafeHdf5Error("it begins with a user block")
    num_bytes = 0
    for name, item in _walk(file.id):
        allowed = group_attributes if isinstance(item, h5g.GroupID) else ()
        if not set(_attribute_names(item)) <= set(allowed):
            raise UnsafeHdf5Error(f"{name} has attributes")
        if isinstance(item, h5d.DatasetID):
            if "/" not in name:
                raise UnsafeHdf5Error(f"{name} is a dataset, not a group")
            num_bytes += _check_dataset(name, item, size)
    if num_bytes > size:
        raise UnsafeHdf5Error("its datasets lie over one another")


def _attribute_names(item: Any) -> Iterator[str]:
    for index in range(h5a.get_num_attrs(item)):
        name = h5a.open(item, index=index).name
        yield name.decode("utf-8", "surrogateescape")


def _walk(root: h5g.GroupID) -> Iterator[tuple[str, Any]]:
    """Yields name and handle of all groups and datasets, each once."""
    seen = {_address(root)}
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        prefix, group = waiting.pop()
        if len(seen) + group.get_num_objs() > _MOST_OBJECTS:
            raise UnsafeHdf5Error(
                f"it holds more than {_MOST_OBJECTS:,} objects"
            )
        if prefix.count("/") >= _MOST_DEPTH:
            raise UnsafeHdf5Error(f"its groups lie deeper than {_MOST_DEPTH}")
        for raw_name in group:
            name = raw_name.decode("utf-8", "surrogateescape")
            if not name.isprintable() or name in (".", ".."):
                raise UnsafeHdf5Error(f"it holds the name {name!a}")
            name = prefix + name
            if group.links.get_info(raw_name).type != h5py.h5l.TYPE_HARD:
                raise UnsafeHdf5Error(
                    f"{name} is a link to another place or file"
                )
            item = h5o.open(group, raw_name)
            if not isinstance(item, h5g.GroupID | h5d.DatasetID):
                raise UnsafeHdf5Error(
                    f"{name} is neither a group nor a dataset"
                )
            if _address(item) in seen:
                raise UnsafeHdf5Error(
                    f"{name} is a second name of another object"
                )
            seen.add(_address(item))
            yield name, item
            if isinstance(item, h5g.GroupID):
                waiting.append((f"{name}/", item))


def _address(item: Any) -> int:
    return h5o.get_info(item).addr


def _check_dataset(name: str, dataset: h5d.DatasetID, size: int) -> int:
    """Returns the bytes of a dataset's values, which lie in the file."""
    if not any(dataset.get_type() == kind for kind in _NUMBERS):
        raise UnsafeHdf5Error(f"{name} holds no plain numbers")
    space = dataset.get_space()
    if space.get_simple_extent_type() not in (h5s.SCALAR, h5s.SIMPLE):
        raise UnsafeHdf5Error(f"{name} has no shape")
    stored = dataset.get_create_plist()
    if (
        stored.get_layout() != h5d.CONTIGUOUS
        or stored.get_nfilters()
        or stored.get_external_count()
    ):
        raise UnsafeHdf5Error(
            f"{name} must be stored in one piece, in this file, uncompressed"
        )
    num_bytes = math.prod(space.shape) * dataset.get_type().get_size()
    start = dataset.get_offset()
    if num_bytes and (
        start is None
        or dataset.get_storage_size() != num_bytes
        or start + num_bytes > size
    ):
        raise UnsafeHdf5Error(
            f"{name} has the shape {space.shape}, but its values are not in "
            "the file"
        )
    return num_bytes

"""What an HDF5 file must be before anything of a checkpoint is read.

A checkpoint is data of unknown origin. The toolkit writes groups of contiguous
datasets of plain numbers, each under one name; whatever else HDF5 can hold
(links to other places or files, filters, chunks, virtual datasets, objects) is
refused here, before memory is taken for it.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
from h5py import h5d, h5o, h5s, h5t

from distill.checkpoints.heap_checks import find_gaps, texts_are_sound
from distill.checkpoints.value_checks import (
    DAMAGE,
    CheckpointError,
    describe_damage,
    read_attribute,
)
from distill.system.small_files import MOST_BYTES

FORMAT = "distill-checkpoint-1"
ATTRIBUTES = ("format", "settings", "progress")
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
# Far more than HDF5 takes for the names and places of what it holds.
_BYTES_AN_OBJECT = 4_096
_BYTES_OF_A_FILE = 4 * MOST_BYTES


def open_checked(path: str | Path) -> h5py.File:
    """Opens a checkpoint for reading, after a look at all that it holds.

    Raises:
      CheckpointError: There is no such file, or it is no checkpoint; nothing
        of its datasets has been read.
    """
    size = _check_regular(Path(path))
    try:
        file = h5py.File(path, "r")
    except DAMAGE as error:
        raise CheckpointError(
            f"{path} is no checkpoint: it is no whole HDF5 file."
        ) from error
    try:
        _check_contents(path, file, size)
        _check_format(path, file)
    except CheckpointError:
        file.close()
        raise
    except _Unsound as error:
        file.close()
        raise CheckpointError(f"{path} is no checkpoint: {error}.") from error
    except DAMAGE as error:
        file.close()
        raise CheckpointError(
            f"{path} is no checkpoint: {describe_damage(error)}."
        ) from error
    return file


class _Unsound(Exception):
    """Says what of a file is refused."""


def _check_regular(path):
    """Returns the size of a regular file."""
    try:
        exists, is_file = path.exists(), path.is_file()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is no checkpoint: {error}.") from error
    if exists and not is_file:
        raise CheckpointError(f"{path} is no checkpoint: it is no file.")
    if not exists:
        raise CheckpointError(f"There is no checkpoint {path}.")
    return path.stat().st_size


def _check_format(path, file):
    if "format" not in file.attrs or read_attribute(file, "format") != FORMAT:
        raise CheckpointError(
            f"{path} is an HDF5 file, but no checkpoint of this toolkit."
        )


def _check_contents(path, file, size):
    """Checks every object of a file, and what lies between them."""
    if file.userblock_size:
        raise _Unsound("it begins with a user block")
    num_objects, extents = 0, []
    for name, item in _walk(file.id):
        num_objects += 1
        if isinstance(item, h5d.DatasetID):
            if "/" not in name:
                raise _Unsound(f"{name} is a dataset, not a group")
            extents.append(_check_dataset(name, item, size))
    num_bytes = sum(length for _, length in extents)
    if num_bytes > size:
        raise _Unsound("its datasets lie over one another")
    beside = size - num_bytes
    if beside > _BYTES_OF_A_FILE + num_objects * _BYTES_AN_OBJECT:
        raise _Unsound(f"it holds {beside:,} bytes beside its variables")
    gaps = find_gaps(extents, size)
    if not texts_are_sound(path, gaps, ATTRIBUTES, _BYTES_OF_A_FILE):
        raise _Unsound("it is damaged where its texts lie, or one is too long")


def _walk(root) -> Iterator[tuple[str, Any]]:
    """Yields name and handle of all groups and datasets, each once."""
    seen = {_address(root)}
    waiting = [("", root)]
    while waiting:
        prefix, group = waiting.pop()
        if len(seen) + group.get_num_objs() > _MOST_OBJECTS:
            raise _Unsound(f"it holds more than {_MOST_OBJECTS:,} objects")
        if prefix.count("/") >= _MOST_DEPTH:
            raise _Unsound(f"its groups lie deeper than {_MOST_DEPTH}")
        for raw_name in group:
            name = prefix + _check_name(raw_name)
            if group.links.get_info(raw_name).type != h5py.h5l.TYPE_HARD:
                raise _Unsound(f"{name} is a link to another place or file")
            item = h5o.open(group, raw_name)
            if not isinstance(item, h5py.h5g.GroupID | h5d.DatasetID):
                raise _Unsound(f"{name} is neither a group nor a dataset")
            if _address(item) in seen:
                raise _Unsound(f"{name} is a second name of another object")
            seen.add(_address(item))
            yield name, item
            if isinstance(item, h5py.h5g.GroupID):
                waiting.append((f"{name}/", item))


def _address(item):
    return h5o.get_info(item).addr


def _check_name(raw_name):
    name = raw_name.decode("utf-8", "surrogateescape")
    if not name.isprintable() or name in (".", ".."):
        raise _Unsound(f"it holds the name {ascii(name)}")
    return name


def _check_dataset(name, dataset, size):
    """Returns first byte and length of a dataset, which lies in the file."""
    if not any(dataset.get_type() == kind for kind in _NUMBERS):
        raise _Unsound(f"{name} holds no plain numbers")
    space = dataset.get_space()
    if space.get_simple_extent_type() not in (h5s.SCALAR, h5s.SIMPLE):
        raise _Unsound(f"{name} has no shape")
    stored = dataset.get_create_plist()
    if (
        stored.get_layout() != h5d.CONTIGUOUS
        or stored.get_nfilters()
        or stored.get_external_count()
    ):
        raise _Unsound(
            f"{name} is not stored as it is written here: in one piece, "
            "in this file, not compressed"
        )
    num_bytes = math.prod(space.shape) * dataset.get_type().get_size()
    start = dataset.get_offset()
    if num_bytes and (
        start is None
        or dataset.get_storage_size() != num_bytes
        or start + num_bytes > size
    ):
        raise _Unsound(
            f"{name} is said to have the shape {space.shape}, but its values "
            "are not in the file"
        )
    return start or 0, num_bytes

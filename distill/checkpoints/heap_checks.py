"""The texts of an HDF5 file, checked without HDF5 before it reads them.

A text lies in a heap; the attribute holds its length, the heap's address and
its number there. The library takes memory of that length at once, and follows
the sizes that the heap states of its objects, from some of which it does not
come back; nobody can interrupt it ("HDF5 File Format Specification", III.E,
IV.A.2.m).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

_SIGNATURE = b"GCOL"
_HEADER_BYTES = 16
_ALIGNMENT = 8
# The attribute's message as it is written here: its version, and the bytes of
# its type (of variable length) and its shape (none).
_VERSION = 1
_TYPE_BYTES = 20
_SHAPE_BYTES = 8
_VARIABLE_LENGTH = 9


def find_gaps(
    extents: Iterable[tuple[int, int]], size: int
) -> list[tuple[int, int]]:
    """Returns what lies between a file's datasets.

    Args:
      extents: First byte and length of each dataset.
      size: Bytes of the file.

    Returns:
      First byte and the one behind the last of each gap.
    """
    gaps, start = [], 0
    for first, length in sorted(extents):
        if first > start:
            gaps.append((start, first))
        start = max(start, first + length)
    return [*gaps, (start, size)] if start < size else gaps


def texts_are_sound(
    path: str | Path,
    gaps: Sequence[tuple[int, int]],
    names: Iterable[str],
    most_bytes: int,
) -> bool:
    """Returns whether attributes that hold a text can be read.

    Args:
      path: The file.
      gaps: What lies between its datasets.
      names: The attributes' names. Each may stand in several places.
      most_bytes: The longest text.
    """
    contents = np.memmap(path, np.uint8, mode="r")
    joined = b"".join(contents[start:end].tobytes() for start, end in gaps)
    heaps = set()
    for name in names:
        for message in _find_messages(joined, name.encode() + b"\0"):
            if message is None:
                return False
            length, heap = message
            if length > most_bytes:
                return False
            heaps.add(heap)
    return all(_heap_is_sound(contents, heap) for heap in heaps)


def _find_messages(joined, name) -> Iterator[tuple[int, int] | None]:
    """Yields the length and heap of an attribute's text, wherever it is named.

    None stands for a message of another form than those written here. What
    holds no text of variable length is left out.
    """
    place = joined.find(name)
    while place >= 0:
        head, tail = joined[place - 8 : place], joined[place : place + 256]
        sizes = np.frombuffer(head, "<u2").tolist() if len(head) == 8 else [0]
        start = _align(len(name))
        if sizes[0] != _VERSION or sizes[1] != len(name):
            yield None
        elif tail[start] & 15 == _VARIABLE_LENGTH:
            start += _align(_TYPE_BYTES) + _SHAPE_BYTES
            if sizes[2:] == [_TYPE_BYTES, _SHAPE_BYTES]:
                yield _number(tail, start, 4), _number(tail, start + 4, 8)
            else:
                yield None
        place = joined.find(name, place + 1)


def _heap_is_sound(contents, address) -> bool:
    """Returns whether the objects of a heap fill it, one by one.

    HDF5 itself refuses what is no heap.
    """
    if contents[address : address + 4].tobytes() != _SIGNATURE:
        return True
    end = address + _number(contents, address + 8, 8)
    if not address + _HEADER_BYTES <= end <= len(contents):
        return False
    place = address + _HEADER_BYTES
    while end - place >= _HEADER_BYTES:
        size = _number(contents, place + 8, 8)
        if _number(contents, place, 2):  # it is no free space
            size = _HEADER_BYTES + _align(size)
        if not _HEADER_BYTES <= size <= end - place:
            return False
        place += size
    return True


def _align(size):
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


def _number(contents, place, num_bytes) -> int:
    return int.from_bytes(bytes(contents[place : place + num_bytes]), "little")

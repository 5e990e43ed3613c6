"""TFRecord files: their framing, and the records that can be read of them.

A record lies in its file behind its length (8 bytes, little-endian) and the
length's masked CRC-32C (4), and before its own masked CRC-32C (4).

TensorFlow's reader allocates any length whose checksum is right, and aborts
the process where that much memory does not exist. So every reader asks only
for the records before an impossible length.
"""

import contextlib
import functools
import os
import struct
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
HEADER_BYTES = _HEADER.size
FOOTER_BYTES = _FOOTER.size
FRAMING_BYTES = HEADER_BYTES + FOOTER_BYTES
# No protocol buffer is larger.
_IMPOSSIBLE_BYTES = 2**31
_READERS = 8
_RECORDS_AT_ONCE = 100_000
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ALL_ONES = 0xFFFFFFFF


def _make_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _make_table()


def masked_checksum(contents: bytes) -> int:
    """Returns the masked CRC-32C of some bytes."""
    table, checksum = _TABLE, _ALL_ONES
    for byte in contents:
        checksum = table[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    checksum ^= _ALL_ONES
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & _ALL_ONES


def read_length(header: bytes) -> int | None:
    """Returns the length that a header states; None if it is damaged."""
    if len(header) < HEADER_BYTES:
        return None
    length, checksum = _HEADER.unpack(header)
    return length if checksum == masked_checksum(header[:8]) else None


def is_whole(record: bytes, footer: bytes) -> bool:
    """Returns whether a record fits the checksum behind it."""
    return _FOOTER.unpack(footer)[0] == masked_checksum(record)


def open_records(file: str) -> tf.data.Dataset:
    """Returns the records of a file, up to one of an impossible length."""
    return tf.data.TFRecordDataset(file).take(count_readable(file))


def limit_records(file: tf.Tensor) -> tf.Tensor:
    """Returns `count_readable` of a file's name, inside the graph."""
    limit = tf.numpy_function(
        lambda name: np.int64(count_readable(os.fsdecode(name))),
        [file],
        tf.int64,
    )
    return tf.ensure_shape(limit, [])


def count_readable(file: str) -> int:
    """Returns how many records may be asked for; -1 for any number.

    Files that only TensorFlow can open (`gs://`) are not examined: -1.
    """
    path = file.removeprefix("file://")
    try:
        found = os.stat(path)
        return _count_possible(
            path, found.st_size, found.st_mtime_ns, found.st_ino
        )
    except OSError:
        return -1


@functools.lru_cache(maxsize=100_000)
def _count_possible(path: str, size: int, modified: int, inode: int) -> int:
    """Returns the number of records before an impossible one, or -1.

    An unchanged file is not examined again in the next epoch.
    """
    place = number = 0
    with open(path, "rb", buffering=0) as opened:
        descriptor = opened.fileno()
        while place + HEADER_BYTES <= size:
            header = os.pread(descriptor, HEADER_BYTES, place)
            if len(header) < HEADER_BYTES:
                break
            length, _ = _HEADER.unpack(header)
            if length >= _IMPOSSIBLE_BYTES:
                # TensorFlow itself refuses a length of a wrong checksum.
                return -1 if read_length(header) is None else number
            place += FRAMING_BYTES + length
            number += 1
    return -1


def read_record(file: str, number: int) -> bytes:
    """Returns record `number` (from 0) of a TFRecord file."""
    dataset = tf.data.TFRecordDataset(file).skip(number).take(1)
    return next(iter(dataset)).numpy()


def count_whole_records(file: str) -> int:
    """Returns how many records precede the damage in a file, or its end."""
    number = 0
    with contextlib.suppress(tf.errors.DataLossError):
        for _ in open_records(file):
            number += 1
    return number


def describe_corruption(file: str, number: int) -> str:
    """Says that a file is damaged from record `number` on."""
    return (
        f"{file}, record {number}: the file is truncated or corrupt there "
        f"(its checksum fails); {number} records before it are whole."
    )


def read_raw_records(
    files: list[str], file_indexes: tf.data.Dataset, skip_damaged: bool
) -> tf.data.Dataset:
    """Returns the records of files; several files are read alternately.

    The files are begun in the order of `file_indexes`. With `skip_damaged` a
    damaged file ends at its damage; else it raises.

    Returns:
      A dataset of dicts of `file_index`, `record_number` in the file, from 0,
      and `serialized`, a string.
    """
    names = tf.constant(files)

    def open_file(index):
        with tf.io.gfile.GFile(files[int(index)], "rb") as file:
            file.read(1)
        return index

    def read_file(index):
        if skip_damaged:
            # `ignore_errors` would retry a file that cannot be opened forever.
            index = tf.py_function(open_file, [index], tf.int64)
            index.set_shape([])
        name = tf.gather(names, index)
        dataset = tf.data.TFRecordDataset(name).take(limit_records(name))
        if skip_damaged:
            dataset = dataset.ignore_errors()
        # Zipped: a function called for every record would cost more.
        return tf.data.Dataset.zip(
            {
                "file_index": tf.data.Dataset.from_tensors(index).repeat(),
                "record_number": tf.data.Dataset.counter(),
                "serialized": dataset,
            }
        )

    return _alternate(file_indexes, read_file, len(files))


def _alternate(
    file_indexes: tf.data.Dataset,
    read_file: Callable[[tf.Tensor], tf.data.Dataset],
    num_files: int,
) -> tf.data.Dataset:
    """Returns the examples of files, of which several are read in turns."""
    return file_indexes.interleave(
        read_file,
        cycle_length=min(_READERS, num_files),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def order_of_records(counts: Sequence[int]) -> np.ndarray:
    """Returns the file of each record that `read_raw_records` reads, in order.

    Args:
      counts: Number of records of each file.

    Returns:
      int32 `[records]`, file indexes. The records of a file come in its order.
    """
    sizes = tf.constant(counts, tf.int64)

    def repeat(index):
        one = tf.data.Dataset.from_tensors(tf.cast(index, tf.int32))
        return one.repeat(sizes[index])

    files = tf.data.Dataset.range(len(counts))
    order = _alternate(files, repeat, len(counts)).batch(_RECORDS_AT_ONCE)
    blocks = list(order.as_numpy_iterator())
    return np.concatenate([np.zeros(0, np.int32), *blocks])


def read_chosen_records(
    files: list[str], order: np.ndarray, first: np.ndarray
) -> tf.data.Dataset:
    """Returns a part of the records of `read_raw_records`, in its order.

    Args:
      files: The files' names.
      order: int32 `[records]`, the file index of each.
      first: int64 `[files]`, number of the first of them in each file.

    Returns:
      A dataset of dicts as `read_raw_records` returns.
    """
    used, places = np.unique(order, return_inverse=True)
    parts = [
        tf.data.Dataset.zip(
            {
                "file_index": tf.data.Dataset.from_tensors(
                    np.int64(index)
                ).repeat(),
                "record_number": tf.data.Dataset.counter(first[index]),
                "serialized": open_records(files[index]).skip(first[index]),
            }
        )
        for index in used
    ]
    choices = tf.data.Dataset.from_tensor_slices(places.astype(np.int64))
    return tf.data.Dataset.choose_from_datasets(parts, choices, False)

"""TFRecord files opened so that no length in them can end the process.

A record lies behind its length. TensorFlow's reader takes memory of any length
whose checksum is right, and dies of what no machine has.
"""

import functools
import os
import struct

import numpy as np
import tensorflow as tf

# Protocol buffers are smaller.
_TOO_LONG = 2**31
_HEADER = struct.Struct("<QI")
_CHECKSUM_BYTES = 4
_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8


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
    """Returns how many records may be asked for: -1 for any number.

    Of a file that only TensorFlow can open (`gs://`) nothing is looked at.
    """
    path = file.removeprefix("file://")
    try:
        found = os.stat(path)
        return _walk(path, found.st_size, found.st_mtime_ns, found.st_ino)
    except OSError:
        return -1


@functools.lru_cache(maxsize=100_000)
def _walk(path, size, modified, inode):
    """Returns the number of records before an impossible one, or -1.

    A file that is as it was is not looked at again in the next epoch.
    """
    place = number = 0
    with open(path, "rb", buffering=0) as opened:
        descriptor = opened.fileno()
        while place + _HEADER.size <= size:
            header = os.pread(descriptor, _HEADER.size, place)
            if len(header) < _HEADER.size:
                break
            length, checksum = _HEADER.unpack(header)
            if length >= _TOO_LONG:
                # Of another checksum TensorFlow says that it is damaged.
                is_right = checksum == _masked_checksum(header[:8])
                return number if is_right else -1
            place += _HEADER.size + length + _CHECKSUM_BYTES
            number += 1
    return -1


def _masked_checksum(contents):
    """Returns TFRecord's CRC-32C of a few bytes."""
    checksum = 0xFFFFFFFF
    for byte in contents:
        checksum ^= byte
        for _ in range(8):
            odd = checksum & 1
            checksum = checksum >> 1 ^ (_POLYNOMIAL if odd else 0)
    checksum ^= 0xFFFFFFFF
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return (rotated + _MASK) & 0xFFFFFFFF

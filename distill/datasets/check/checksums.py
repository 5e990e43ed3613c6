"""TFRecord's checksums in Python alone, for what lies behind a damaged record.

A record lies in its file as its length (8 bytes, little-endian), the length's
masked CRC-32C (4), the record, the record's masked CRC-32C (4).
"""

import struct

HEADER_BYTES = 12
FOOTER_BYTES = 4
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
    """Returns the length that a record's header says; None if it is damaged."""
    if len(header) < HEADER_BYTES:
        return None
    (checksum,) = struct.unpack_from("<I", header, 8)
    if checksum != masked_checksum(header[:8]):
        return None
    return struct.unpack_from("<Q", header)[0]


def is_whole(record: bytes, footer: bytes) -> bool:
    """Returns whether a record fits the checksum behind it."""
    return masked_checksum(record) == struct.unpack("<I", footer)[0]

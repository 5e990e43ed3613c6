"""Damage of files: seeded changes of their bytes, lines, fields and values."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

_WORDS = (bytes(8), b"\xff" * 8, b"\0" * 7 + b"\x40", b"\0\0\0\x80")
_ODD_TEXTS = (
    *("", " ", "nan", "-inf", "1e999", "-1", "1.5", "9" * 5_000, "0x10"),
    *("true", "null", '"', "'", ",", "\0", "\ud800", "\u0663", "../../x"),
    *("%s%n", "{}", "[", "a" * 100_000, "--", "\r", "\u202e"),
)
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 10**30, 10**400, 1e308, float("nan")),
    *("", "a", "a" * 100_000, "\0", "\ud800", [], {}, [[]], [1, "a", None]),
    {"a": {"b": []}},
)
_MOST_DEPTH = 100_000

Damage = Callable[[bytes, random.Random], bytes]


def flip_bits(contents: bytes, rng: random.Random) -> bytes:
    """Flips one to eight bits."""
    changed = bytearray(contents)
    for _ in range(rng.choice([1, 1, 2, 8])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_word(contents: bytes, rng: random.Random) -> bytes:
    """Replaces up to eight bytes by zeros, ones, or a huge number."""
    place, word = rng.randrange(len(contents)), rng.choice(_WORDS)
    changed = contents[:place] + word + contents[place + len(word) :]
    return changed[: len(contents)]


def cut(contents: bytes, rng: random.Random) -> bytes:
    """Drops the end, at times all."""
    return contents[: rng.choice([0, 1, rng.randrange(len(contents))])]


def drop_piece(contents: bytes, rng: random.Random) -> bytes:
    """Drops a piece from the middle."""
    first, last = sorted(rng.choices(range(len(contents) + 1), k=2))
    return contents[:first] + contents[last:]


def insert_piece(contents: bytes, rng: random.Random) -> bytes:
    """Inserts random bytes, or a piece of the file."""
    place, first, last = rng.choices(range(len(contents) + 1), k=3)
    piece = contents[min(first, last) : max(first, last)]
    piece = rng.choice(
        [piece, rng.randbytes(rng.randint(1, 64)), b"\xff", b"\0"]
    )
    return contents[:place] + piece + contents[place:]


def swap_blocks(contents: bytes, rng: random.Random) -> bytes:
    """Exchanges two blocks of one size, as a disk may."""
    size = rng.choice([1, 16, 512])
    blocks = [contents[i : i + size] for i in range(0, len(contents), size)]
    one, other = rng.choices(range(len(blocks)), k=2)
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return b"".join(blocks)


def append_bytes(contents: bytes, rng: random.Random) -> bytes:
    """Appends the file itself, zeros or random bytes."""
    return contents + rng.choice([contents, bytes(4096), rng.randbytes(64)])


BYTES: tuple[Damage, ...] = (
    *(flip_bits, set_word, cut, drop_piece, insert_piece, swap_blocks),
    append_bytes,
)


def change_encoding(contents: bytes, rng: random.Random) -> bytes:
    """Adds a byte order mark or carriage returns, or writes UTF-16."""
    text = contents.decode("utf-8", "replace")
    return rng.choice(
        [
            b"\xef\xbb\xbf" + contents,
            contents.replace(b"\n", b"\r\n"),
            contents.replace(b"\n", b"\r"),
            text.encode("utf-16"),
        ]
    )


def change_lines(contents: bytes, rng: random.Random) -> bytes:
    """Repeats, drops, exchanges or joins lines."""
    lines = contents.splitlines(keepends=True)
    one, other = rng.choices(range(len(lines)), k=2)
    kind = rng.randrange(4)
    if kind == 0:
        lines.insert(other, lines[one])
    elif kind == 1:
        del lines[one]
    elif kind == 2:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines[one] = lines[one].rstrip(b"\r\n")
    return b"".join(lines)


def change_field(contents: bytes, rng: random.Random) -> bytes:
    """Replaces a word, number or field by an odd text."""
    text = contents.decode("utf-8", "replace")
    found = list(re.finditer(r"[^\s,=:{}\[\]\"]+", text))
    if not found:
        return contents
    start, end = rng.choice(found).span()
    changed = text[:start] + rng.choice(_ODD_TEXTS) + text[end:]
    return changed.encode("utf-8", "surrogatepass")


TEXT: tuple[Damage, ...] = (*BYTES, change_encoding, change_lines, change_field)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Returns every container and key within a parsed JSON value."""
    if not isinstance(value, dict | list):
        return []
    keys = value if isinstance(value, dict) else range(len(value))
    inner = [_places(value[key]) for key in keys]
    return [(value, key) for key in keys] + [p for ps in inner for p in ps]


def change_value(contents: bytes, rng: random.Random) -> bytes:
    """Replaces, drops or renames a value of a JSON object."""
    value = json.loads(contents)
    container, key = rng.choice(_places(value))
    kind = rng.randrange(4)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice([f"{key}x", "", "a" * 5_000])] = container.pop(key)
    else:
        container[key] = rng.choice(_ODD_VALUES)
    return json.dumps(value).encode()


def nest_value(contents: bytes, rng: random.Random) -> bytes:
    """Replaces a value of a JSON object by one that is nested deep."""
    value = json.loads(contents)
    container, key = rng.choice(_places(value))
    container[key] = "@"
    depth = rng.choice([10, 900, _MOST_DEPTH])
    start, end = rng.choice([("[", "]"), ('{"a":', "}")])
    nested = start * depth + "1" + end * depth
    return json.dumps(value).replace('"@"', nested).encode()


def repeat_key(contents: bytes, rng: random.Random) -> bytes:
    """Names a key of a JSON object twice."""
    found = list(re.finditer(rb'"\w+":\s*[\w.]+', contents))
    if not found:
        return contents
    pair = rng.choice(found)
    return contents[: pair.end()] + b", " + pair[0] + contents[pair.end() :]


JSON: tuple[Damage, ...] = (
    *(*TEXT, change_value, change_value, nest_value, repeat_key),
)


def add_flag(contents: bytes, rng: random.Random) -> bytes:
    """Adds a line to a flagfile that no verb expects."""
    line = rng.choice(
        [
            *("--", "-", "=", "--=1", "--flagfile=", "--flagfile={file}"),
            *("--no_such_flag=1", "--batch_size", "--batch_size=1e999"),
            *("--num_classes=-1", "--max_frames=99999999999999999999", "x"),
            *("--help", "--undefok=batch_size", "--verbosity=x", "#" * 99_999),
            *("--feature_sizes=" + "1," * 99_999, "--flagfile=/dev/zero"),
            *("--batch_size=\0", "--feature_names=\ud800"),
        ]
    ).encode("utf-8", "surrogatepass")
    lines = contents.splitlines()
    lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines) + b"\n"


FLAGS: tuple[Damage, ...] = (*TEXT, add_flag, add_flag, add_flag)

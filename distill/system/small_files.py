"""Small text files that are read whole, and the JSON in them.

Their content is data of unknown origin: it is refused, with a reason, before
it could take memory or time.
"""

import errno
import json
import os
from pathlib import Path
from typing import Any, NoReturn

from distill.system.named_reads import open_bytes
from distill.system.storage import to_path

MOST_BYTES = 1_000_000


def read_small_text(path: str | Path, most_bytes: int = MOST_BYTES) -> str:
    """Returns the text of a file.

    Args:
      path: A regular file; a pipe or device may never end.
      most_bytes: The most bytes that it may hold.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is no regular file, too large, or no UTF-8 text.
    """
    path = to_path(path)
    if not path.exists():
        # Libraries of cloud storage do not name the file in their error.
        code = errno.ENOENT
        raise FileNotFoundError(code, os.strerror(code), str(path))
    if not path.is_file():
        raise ValueError(f"{path} is no regular file")
    with open_bytes(path) as file:
        contents = file.read(most_bytes + 1)
    if len(contents) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes:,} bytes")
    try:
        return contents.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text (byte {error.start})") from error


def parse_json_object(text: str) -> dict[str, Any]:
    """Returns the object of a JSON text.

    Raises:
      ValueError: The text is no JSON object, is nested too deep, names a key
        of an object twice, or holds NaN or an infinity.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_to_object, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"it is no JSON object, but a {type(value).__name__}")
    return value


def read_json_object(
    path: str | Path, most_bytes: int = MOST_BYTES
) -> dict[str, Any]:
    """Returns the object of a JSON file of at most `most_bytes`.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: As `read_small_text` and `parse_json_object`.
    """
    return parse_json_object(read_small_text(path, most_bytes))


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it holds the key {twice!r} twice")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds the value {name}, which is no number of JSON")

"""Strict JSON, read row by row so that other threads get their turns.

`json.loads` keeps Python's lock to the end of a text. Here it reads only the
innermost lists, a video's frames; what is around them is read in Python.
"""

import json
import re
from typing import Any, NoReturn

_skip_space = re.compile(r"[ \t\n\r]*").match


def parse_json(body: bytes) -> Any:
    """Returns the value of a JSON text.

    Args:
      body: UTF-8.

    Raises:
      ValueError: The text is not UTF-8 or no JSON, NaN and Infinity among it;
        an object has a key twice; it is nested too deeply.
    """
    text = body.decode("utf-8")
    try:
        value, end = _read(text, _skip(text, 0))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if _skip(text, end) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _skip(text: str, at: int) -> int:
    return _skip_space(text, at).end()


def _read(text: str, at: int) -> tuple[Any, int]:
    """Returns the value that begins at a place and the place behind it."""
    mark = text[at : at + 1]
    if mark == "{":
        return _read_object(text, _skip(text, at + 1))
    if mark == "[":
        first = _skip(text, at + 1)
        if text[first : first + 1] in ("[", "{"):
            return _read_list(text, first)
    return _DECODER.raw_decode(text, at)


def _read_list(text: str, at: int) -> tuple[list[Any], int]:
    """Reads from a list's first element on; there is one."""
    values = []
    while True:
        value, at = _read(text, at)
        values.append(value)
        at, ended = _next_element(text, at, "]")
        if ended:
            return values, at


def _read_object(text: str, at: int) -> tuple[dict[str, Any], int]:
    """Reads from an object's first key on."""
    held = {}
    if text[at : at + 1] == "}":
        return held, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting a key in quotes", text, at)
        key, at = _DECODER.raw_decode(text, at)
        if key in held:
            raise ValueError(f"an object has the key {key[:50]!r} twice")
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        held[key], at = _read(text, _skip(text, at + 1))
        at, ended = _next_element(text, at, "}")
        if ended:
            return held, at


def _next_element(text: str, at: int, end: str) -> tuple[int, bool]:
    """Returns where the next element begins, or the place behind the end."""
    at = _skip(text, at)
    mark = text[at : at + 1]
    if mark == end:
        return at + 1, True
    if mark != ",":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return _skip(text, at + 1), False

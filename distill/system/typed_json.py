"""JSON values to frozen dataclasses, every field checked by its type."""

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

_WORDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a text",
}
_MOST_CHARACTERS_SHOWN = 60


def read_dataclass(kind: type, value: Any, name: str = "") -> Any:
    """Returns a dataclass of the fields of a JSON object.

    Args:
      kind: The dataclass. Its fields are whole numbers, numbers, texts,
        booleans, dataclasses, tuples of one of these, mappings of texts to
        values of any kind, or one of these or None.
      value: The object: a field for each that has no default, and no others.
      name: Name of the object in errors; empty at the top.

    Raises:
      ValueError: A field is missing, unknown or of another type, or the
        dataclass refuses its fields.
    """
    _check(isinstance(value, dict), name, "an object", value)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise ValueError(f"unknown field {_show(_join(name, key))}")
    for key, field in fields.items():
        if (
            key not in value
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ):
            raise ValueError(f"the field {_join(name, key)} is missing")
    hints = typing.get_type_hints(kind)
    return kind(
        **{
            key: _read(hints[key], item, _join(name, key))
            for key, item in value.items()
        }
    )


def _check(holds: bool, name: str, wanted: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"{name} must be {wanted}, got {_show(value)}")


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _read(kind: Any, value: Any, name: str) -> Any:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        if value is None:
            return None
        kinds = typing.get_args(kind)
        (kind,) = (choice for choice in kinds if choice is not types.NoneType)
    if dataclasses.is_dataclass(kind):
        return read_dataclass(typing.cast(type, kind), value, name)
    origin = typing.get_origin(kind)
    if origin is tuple:
        _check(isinstance(value, list), name, "a list", value)
        item_kind = typing.get_args(kind)[0]
        return tuple(
            _read(item_kind, item, f"{name}[{index}]")
            for index, item in enumerate(value)
        )
    if origin is Mapping:
        _check(isinstance(value, dict), name, "an object", value)
    else:
        _check(is_of_type(kind, value), name, _WORDS[kind], value)
    return value


def is_of_type(kind: type, value: Any) -> bool:
    """Returns whether a JSON value is an int, float, bool or str.

    A float may be written as a whole number, and must be finite.
    """
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, kind) and kind is bool
    if kind is float:
        # An integer may lie beyond all floats.
        is_number = isinstance(value, int | float)
        return is_number and abs(value) <= sys.float_info.max
    return isinstance(value, kind)


def _show(value: Any) -> str:
    text = ascii(value)
    if len(text) <= _MOST_CHARACTERS_SHOWN:
        return text
    return f"{text[:_MOST_CHARACTERS_SHOWN]}..."

"""One field of a settings dataclass: its default, help and choices."""

import dataclasses
from collections.abc import Sequence
from typing import Any


def option(
    default: Any = dataclasses.MISSING,
    help_text: str = "",
    *,
    choices: Sequence[str] = (),
    flag: str | None = None,
) -> Any:
    """Returns a dataclass field that a command-line flag can be made of.

    Args:
      default: The field's default; a field without one must be given.
      help_text: What it means, in a sentence for the user.
      choices: The values it accepts; empty for any of its type.
      flag: The flag's name where it differs from the field's.
    """
    metadata = {"help": help_text, "choices": tuple(choices), "flag": flag}
    return dataclasses.field(default=default, metadata=metadata)


def flag_name(field: dataclasses.Field) -> str:
    """Returns the name of the flag that sets a field."""
    return field.metadata.get("flag") or field.name

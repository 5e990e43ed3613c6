"""Fields of settings dataclasses: default, help, choices and bounds."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from distill.models.argument_checks import check_at_least, check_choice


def option(
    default: Any = dataclasses.MISSING,
    help_text: str = "",
    flag: str | None = None,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    below: float | None = None,
    is_address: bool = False,
) -> Any:
    """Returns a dataclass field that a command-line flag can be made of.

    Args:
      default: The field's default; a field without one must be given.
      help_text: The field's meaning, in a sentence for the user.
      flag: The flag's name where it differs from the field's.
      choices: The values it accepts; empty for any of its type.
      minimum: The least value it accepts; None for any.
      below: The bound that a value must stay below; None for no bound.
      is_address: Whether its value is an address of the network, not a path.
    """
    metadata = {
        "help": help_text,
        "choices": tuple(choices),
        "minimum": minimum,
        "below": below,
        "flag": flag,
        "is_address": is_address,
    }
    return dataclasses.field(default=default, metadata=metadata)


def flag_name(field: dataclasses.Field) -> str:
    """Returns the name of the flag that sets a field."""
    return field.metadata.get("flag") or field.name


def check_options(settings: Any) -> None:
    """Checks every field of a dataclass against its choices and bounds.

    A field that holds None is not checked.

    Raises:
      ValueError: A value is not accepted; the message names the flag.
    """
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), flag_name(field)
        if value is None:
            continue
        if field.metadata.get("choices"):
            check_choice(name, value, field.metadata["choices"])
        if field.metadata.get("minimum") is not None:
            check_at_least(field.metadata["minimum"], **{name: value})
        below = field.metadata.get("below")
        if below is not None and not value < below:
            raise ValueError(f"{name} must be below {below}, got {value}.")

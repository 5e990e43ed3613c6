"""Checks of values that a user may set. Importing this imports no Keras."""

import difflib
from collections.abc import Iterable


def check_at_least(minimum: float, **values: float) -> None:
    """Checks values by the names the user knows them by.

    Raises:
      ValueError: One is below `minimum`; the message names the first.
    """
    for name, value in values.items():
        if not value >= minimum:
            raise ValueError(f"{name} must be {minimum} or more, got {value}.")


def check_choice(kind: str, name: str, choices: Iterable[str]) -> str:
    """Returns `name` if it is among `choices`.

    Raises:
      ValueError: It is not; the message lists the choices and the nearest.
    """
    choices = sorted(choices)
    if name in choices:
        return name
    lowered = {choice.lower(): choice for choice in choices}
    near = [key for key in lowered if name and key.startswith(name.lower())]
    near += difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
    raise ValueError(
        f"Unknown {kind} {name!r}.{hint} Choices: {', '.join(choices)}."
    )


def parse_sizes(argument: str, text: str) -> list[int]:
    """Returns the sizes that a comma-separated argument lists.

    Args:
      argument: The argument's name, for the message.
      text: Whole numbers of 1 or more, such as `512,1024`.

    Raises:
      ValueError: `text` is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if all(part.isdecimal() and int(part) > 0 for part in parts):
        return [int(part) for part in parts]
    raise ValueError(
        f"{argument} must be whole numbers of 1 or more, separated by commas, "
        f"such as 512,1024; got {text!r}."
    )

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

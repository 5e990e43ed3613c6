"""The refusal of an artifact, and what several formats are refused for."""

from collections.abc import Collection, Iterable

_SHOWN = 5


class RefusedError(Exception):
    """The reason why an artifact is refused."""


def refuse_operations(found: Iterable[str], allowed: Collection[str]) -> None:
    """Checks the names of a graph's operations.

    Raises:
      RefusedError: One is not among the allowed; the message names it.
    """
    others = sorted({name for name in found if name not in allowed})
    if others:
        names = ", ".join(f"{name!a:.60}" for name in others[:_SHOWN])
        more = ", ..." if len(others) > _SHOWN else ""
        raise RefusedError(
            f"exports of this toolkit do not use its operations {names}{more}"
        )

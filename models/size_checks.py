"""Checks of sizes that a user may set."""


def check_at_least(minimum: int, **sizes: int) -> None:
    """Checks sizes by the names the user knows them by.

    Raises:
      ValueError: One is below `minimum`; the message names the first.
    """
    for name, size in sizes.items():
        if size < minimum:
            raise ValueError(f"{name} must be {minimum} or more, got {size}.")

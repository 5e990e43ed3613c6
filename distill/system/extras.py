"""Packages that extras of the project install."""

import importlib
from typing import Any


def import_extra(module: str, extra: str) -> Any:
    """Returns a module that an extra of the project installs.

    Raises:
      ValueError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{module.split('.')[0]} is not installed: `pip install -e "
            f".[{extra}]` installs it."
        ) from error

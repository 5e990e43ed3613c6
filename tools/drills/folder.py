"""Finished and temporary files in the directory of a stage."""

import os
from pathlib import Path

_LEFTOVERS = (".tmp", ".old")
# TensorBoard names its files by time and process.
_UNCOMPARED = ("events",)


def results(directory: Path) -> dict[str, Path]:
    """Returns the finished files by relative path.

    Directories may appear and vanish meanwhile.
    """
    found = {}
    for folder, inner, files in os.walk(directory):
        inner[:] = [
            name
            for name in inner
            if not name.startswith(".") and name not in _UNCOMPARED
        ]
        for name in files:
            if not name.startswith("."):
                path = Path(folder, name)
                found[str(path.relative_to(directory))] = path
    return found


def leftovers(directory: Path) -> list[str]:
    """Returns the names of temporary files and directories."""
    if not directory.is_dir():
        return []
    return sorted(
        name
        for name in os.listdir(directory)
        if name.startswith(".") and name.endswith(_LEFTOVERS)
    )


def final_name(leftover: str) -> str:
    """Returns the final name of a temporary file."""
    return leftover[1:].rsplit(".", 2)[0]

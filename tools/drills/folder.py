"""What a stage has left in its directory so far."""

import os
from pathlib import Path

_LEFTOVERS = (".tmp", ".old")
# Of TensorBoard, whose files are named by time and process.
_UNCOMPARED = ("events",)


def results(directory: Path) -> dict[str, Path]:
    """Returns the files under their final names, by their relative paths.

    Directories may come and go meanwhile.
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
    """Returns the name that a temporary file was to have."""
    return leftover[1:].rsplit(".", 2)[0]

"""Files and directories that are there whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replace_atomically(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path that becomes `path` when the body ends.

    The temporary file lies in the same folder (made if it is not there). It
    is synced to disk before it is renamed, and removed if the body raises; a
    killed process leaves it behind under a name that begins with a dot and
    ends in `.tmp`.

    Args:
      path: The file to write; one of that name is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replace_directory(path: str | Path, mark: str) -> Iterator[Path]:
    """Gives a temporary directory that becomes `path` when the body ends.

    Args:
      path: The directory; one of that name is replaced if it is empty or
        holds the file `mark`, which says what it is.
      mark: Name of that file.

    Raises:
      ValueError: There is something else of that name.
    """
    path = Path(path)
    if path.exists() and not _may_replace(path, mark):
        raise ValueError(
            f"{path} would be replaced, but holds no {mark}: give a new "
            "directory."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        old = temporary.with_suffix(".old")
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync(path.parent)


def _may_replace(path: Path, mark: str) -> bool:
    if not path.is_dir():
        return False
    return (path / mark).is_file() or not any(path.iterdir())

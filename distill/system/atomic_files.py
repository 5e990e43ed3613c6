"""Files and directories that are written whole or not at all."""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from distill.system.directory_lock import DirectoryLock, close_lock
from distill.system.storage import UPLOADING, is_remote, to_path
from distill.system.uploads import uploaded_directory, uploaded_file
from distill.system.write_errors import check_room, name_write_errors


@contextlib.contextmanager
def replace_atomically(path: str | Path, num_bytes: int = 0) -> Iterator[Path]:
    """Gives a temporary path that becomes `path` when the body ends.

    The temporary file lies in the same folder (made if it does not exist)
    under a name that no other process has. It is synced to disk before it is
    renamed, and removed if the body raises. A killed process leaves it behind
    under a name that begins with a dot and ends in `.tmp`; the next writer of
    the same file removes it. The file is locked while it is written:
    `h5py.File` cannot open it, `distill.system.hdf5_files` can.

    For cloud storage the temporary file is local and is uploaded whole.

    Args:
      path: The file to write; one of that name is replaced.
      num_bytes: Lower bound of its size, as far as that is known.

    Raises:
      WriteError: The file cannot be written, or there is no room for it.
    """
    path = to_path(path)
    if is_remote(path):
        with uploaded_file(path, num_bytes) as temporary:
            yield temporary
        return
    with name_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path.parent, path.name)
        check_room(path, num_bytes)
        temporary, descriptor = _open_temporary(path)
    try:
        with name_write_errors(path):
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        close_lock(descriptor)


def _open_temporary(path: Path) -> tuple[Path, int]:
    """Makes a locked file beside another; returns its name and descriptor.

    The lock shows others that its writer lives.
    """
    while True:
        temporary = _temporary_name(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666)
        # A file system may have no locks; leftovers then stay.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        # Another process removed it as a leftover before it was locked.
        close_lock(descriptor)


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def clear_leftovers(directory: Path, name: str | None = None) -> None:
    """Removes what killed writers of a file, or of any file, left behind.

    They leave nothing in cloud storage.
    """
    if is_remote(directory):
        return
    for leftover in _find_leftovers(directory, name, ".tmp"):
        with contextlib.suppress(OSError):
            descriptor = os.open(leftover, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
            finally:
                close_lock(descriptor)


def _find_leftovers(
    directory: Path, name: str | None, ending: str
) -> list[Path]:
    of = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"\.{of}\.[^.]+{re.escape(ending)}", re.DOTALL)
    return [
        directory / e for e in os.listdir(directory) if pattern.fullmatch(e)
    ]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems of networks sync no directories.
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replace_directory(
    path: str | Path, mark: str | None = None
) -> Iterator[Path]:
    """Gives a temporary directory that becomes `path` when the body ends.

    Only one process at a time replaces a directory; others are locked out.
    In cloud storage nothing is locked, and the old directory is removed before
    the new one is uploaded.

    Args:
      path: The directory; an old one is replaced if it is empty or holds the
        file `mark`.
      mark: Name of a file that every such directory holds; None where only an
        empty one is replaced.

    Raises:
      ValueError: Something else has that name, or another process replaces
        the directory at this moment.
      WriteError: It cannot be written.
    """
    path = to_path(path)
    with DirectoryLock(path, path.with_name(f".{path.name}.lock")):
        if not is_remote(path):
            _clear_directories(path)
        is_empty = path.is_dir() and not any(path.iterdir())
        marks = (mark, UPLOADING) if is_remote(path) else (mark,)
        is_ours = any(m is not None and (path / m).is_file() for m in marks)
        if path.exists() and not (is_empty or is_ours):
            reason = "is not empty" if mark is None else f"holds no {mark}"
            raise ValueError(
                f"{path} would be replaced, but {reason}: give a new directory."
            )
        if is_remote(path):
            with uploaded_directory(path, mark) as temporary:
                yield temporary
            return
        temporary = _temporary_name(path)
        try:
            with name_write_errors(path):
                temporary.mkdir()
                yield temporary
                for inside in temporary.rglob("*"):
                    _sync(inside)
                _swap_directories(temporary, path)
                _sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _swap_directories(temporary: Path, path: Path) -> None:
    """Renames a directory; removes the one that had its name."""
    if not path.exists():
        os.replace(temporary, path)
        return
    old = temporary.with_suffix(".old")
    os.replace(path, old)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _clear_directories(path: Path) -> None:
    """Removes what a killed process left; restores the old directory."""
    for old in _find_leftovers(path.parent, path.name, ".old"):
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(old, path)
    for leftover in _find_leftovers(path.parent, path.name, ".tmp"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)

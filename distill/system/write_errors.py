"""Errors of writing a file: one clear line with the path and the reason."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from distill.system.storage import is_remote, storage_reason, to_path

DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
# Only writing can raise them, whichever library words the message.
_DISK_ERROR_TEXTS = tuple(map(os.strerror, (*DISK_FULL_ERRNOS, errno.EROFS)))
# Errors whose names do not say what to do.
_ADVICE = {
    errno.EXDEV: "the two lie on different file systems, as at a mount point: "
    "give a name in a folder that lies on one",
    errno.ENOTEMPTY: "another process writes there: give another directory, "
    "or run the command again once it has ended",
    errno.EBUSY: "it is in use, perhaps as a mount point: give another name",
    errno.ETXTBSY: "it is a program that runs: end it, or give another name",
    errno.ESTALE: "its network file system was exported anew: mount it again, "
    "then run the command again",
    errno.ENAMETOOLONG: "give a shorter one; while it is written it has 18 "
    "more characters",
    errno.ELOOP: "its links lead in a circle: give another name",
    errno.EMFILE: "`ulimit -n` sets the most of a process",
    errno.ENFILE: "the machine has no more: end other programs",
    errno.EMLINK: "the folder holds as many as its file system can: give "
    "another one",
}
# Errors that are taken for those of the file that is written, if they name no
# other.
_FILE_ERRNOS = (
    *(*DISK_FULL_ERRNOS, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EFBIG, errno.EEXIST),
    *(errno.ENODEV, errno.ENXIO, errno.EINTR, *_ADVICE),
)
# TensorFlow's errors hold a path and one of these.
_FILE_ERROR_TEXTS = tuple(map(os.strerror, _FILE_ERRNOS))
# Below this, an error without a reason is taken for that of a full disk.
_NO_ROOM_BYTES = 65536


class WriteError(OSError):
    """A file that cannot be written, and why."""


@contextlib.contextmanager
def name_write_errors(path: str | Path) -> Iterator[None]:
    """Turns an error of writing a path into a WriteError with the reason.

    Other errors, such as those of reading another file, are not changed.
    """
    path = to_path(path)
    try:
        yield
    except (WriteError, ValueError):
        raise
    except Exception as error:
        find = _find_remote_reason if is_remote(path) else _find_reason
        reason = find(path, error)
        if reason is None:
            raise
        raise WriteError(f"{path} cannot be written: {reason}.") from error


def _find_reason(path: Path, error: Exception) -> str | None:
    """Returns why a file cannot be written; None for an unrelated error."""
    reason = None
    if isinstance(error, OSError) and error.errno is not None:
        if (
            error.errno in _FILE_ERRNOS
            if error.filename is None
            else _belongs_to(error.filename, path)
        ):
            reason = _word(error)
    else:
        text = str(error)
        is_named = _names(text, path)
        texts = _FILE_ERROR_TEXTS if is_named else _DISK_ERROR_TEXTS
        reason = next((r for r in texts if r in text), None)
        if reason is None and is_named and _is_of_tensorflow(error):
            reason = operation_words(error)
        if reason is None and 0 <= free_bytes(path) < _NO_ROOM_BYTES:
            reason = _DISK_ERROR_TEXTS[0]
    if reason in _DISK_ERROR_TEXTS[:2]:
        return f"{reason}; {_format(free_bytes(path))} are free there"
    return reason


def _word(error: OSError) -> str:
    """Returns a file's error in words, with what to do about it."""
    number = error.errno or 0
    reason = os.strerror(number)
    if error.filename2 is not None and number in _ADVICE:
        reason += f" in renaming {error.filename} to {error.filename2}"
    advice = _ADVICE.get(number)
    if number == errno.EEXIST and error.filename is not None:
        advice = f"{error.filename} is no folder: give another name"
    return reason if advice is None else f"{reason} ({advice})"


def _find_remote_reason(path: Path, error: Exception) -> str | None:
    """Returns why a file cannot be written to cloud storage."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).rstrip(".")
    return storage_reason(error)


def _belongs_to(file: str | bytes | int, path: Path) -> bool:
    """Returns whether a file is `path`, temporary for it, or in or above it."""
    named, wanted = os.path.abspath(str(file)), os.path.abspath(path)
    folder, name = os.path.split(wanted)
    return wanted.startswith(named) or named.startswith(
        (wanted, os.path.join(folder, f".{name}."))
    )


def _is_of_tensorflow(error: Exception) -> bool:
    return type(error).__module__.startswith("tensorflow.")


def operation_words(error: Exception) -> str:
    """Returns the words of TensorFlow's error without its operation."""
    text = str(error).splitlines()[0]
    return text.rpartition("}} ")[2].partition(" [Op:")[0].rstrip(".")


def _names(text: str, path: Path) -> bool:
    """Returns whether a text names a file, or one that is temporary for it."""
    return str(path) in text or str(path.with_name(f".{path.name}.")) in text


def check_room(path: str | Path, num_bytes: int) -> None:
    """Raises a WriteError unless a file's disk has room for so many bytes."""
    free = free_bytes(to_path(path))
    if 0 <= free < num_bytes:
        raise WriteError(
            f"{path} cannot be written: it takes {_format(num_bytes)}, "
            f"{_format(free)} are free there."
        )


def free_bytes(path: Path) -> int:
    """Returns the room on a path's file system; -1 if it is unknown."""
    if is_remote(path):
        return -1
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return -1
    return usage.free if usage.total else -1


def _format(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"

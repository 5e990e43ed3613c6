"""HDF5 files: of cloud storage too, and with the error of a write once.

When a write of the HDF5 library fails, every attempt to close the file fails
again. Here its writes go through Python: after the first error all further
writes are dropped, the file is closed, and then the error is raised.
"""

import contextlib
import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import h5py

from distill.system.storage import is_remote, local_copy, to_path

# Errors that h5py raises while it reads a damaged file.
DAMAGE_ERRORS = (
    AttributeError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Errors of `flock` on file systems without locks, such as some NFS mounts.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class _NewFile(io.FileIO):
    """A file that keeps the first error of its writes."""

    def __init__(self, path: Path):
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, buffer) -> int:
        left = memoryview(buffer).cast("B")
        size = len(left)
        with self._kept_error():
            while len(left) and self.error is None:
                left = left[super().write(left) :]
        return size

    def truncate(self, size: int | None = None) -> int:
        with self._kept_error():
            super().truncate(size)
        return size if size is not None else self.tell()

    @contextlib.contextmanager
    def _kept_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error


class _ReadFile(h5py.File):
    """A file that is read: an error of closing it loses nothing."""

    def close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            super().close()


class _Download(io.FileIO):
    """A local copy of a file; h5py takes its name from `repr`."""

    def __init__(self, path: Path, name: str):
        super().__init__(path)
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __del__(self) -> None:
        # h5py does not close what it was given.
        self.close()


def open_hdf5_file(path: str | Path) -> h5py.File:
    """Opens an HDF5 file for reading.

    A file of cloud storage is downloaded, and the copy ends with the file.
    The file is locked against writers where its file system has locks.

    Raises:
      OSError: It cannot be read, or is no whole HDF5 file.
    """
    path = to_path(path)
    if not is_remote(path):
        try:
            return _ReadFile(path, "r")
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return _ReadFile(path, "r", locking=False)
    with local_copy(path) as copy:
        return h5py.File(_Download(copy, str(path)), "r")


def system_errno(error: Exception) -> int | None:
    """Returns the number of the system's error behind one of h5py, if any."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    # The HDF5 library names it in the text of every class of error.
    found = re.search(r"\berrno = (\d+)", str(error))
    return int(found[1]) if found else None


def hdf5_reason(error: Exception) -> str:
    """Returns the reason of an error of h5py in a few words of one line."""
    code = system_errno(error)
    if code is not None:
        return os.strerror(code)
    return str(error).strip().split("\n")[0].rstrip(".")


@contextlib.contextmanager
def new_hdf5_file(path: Path) -> Iterator[h5py.File]:
    """Opens a new HDF5 file for writing; OSError if a write fails."""
    with _NewFile(path) as raw:
        try:
            with h5py.File(raw, "w") as file:
                yield file
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            # HDF5 may fail over what was dropped.
            if raw.error is None:
                raise
            raise raw.error from error
        if raw.error is not None:
            raise raw.error

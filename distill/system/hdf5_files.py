"""New HDF5 files that raise the error of a write once.

When a write of the HDF5 library fails, every attempt to close the file fails
again. Here its writes go through Python: after the first error all further
writes are dropped, the file is closed, and then the error is raised.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import h5py


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

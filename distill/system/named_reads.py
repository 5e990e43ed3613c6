"""Files to read whose every error names the file.

Python names a file in the error of opening it, and not in that of reading it:
a failing disk would be reported without the file that lies on it.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from distill.system.storage import is_remote, to_path


class _NamedReads(io.FileIO):
    """A local file that is read."""

    def readinto(self, buffer, /) -> int | None:
        with self._named():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with self._named():
            return super().readall()

    def close(self) -> None:
        # It is closed in any case, and nothing was written.
        with contextlib.suppress(OSError):
            super().close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            reason = os.strerror(error.errno)
            raise OSError(error.errno, reason, str(self.name)) from error


def open_bytes(path: str | Path) -> BinaryIO:
    """Opens a file to read its bytes; every OSError names it."""
    path = to_path(path)
    if is_remote(path):
        return cast(BinaryIO, path.open("rb"))
    return io.BufferedReader(_NamedReads(path))


def open_text(
    path: str | Path,
    encoding: str = "utf-8",
    errors: str = "strict",
    newline: str | None = None,
) -> TextIO:
    """Opens a file to read its text; every OSError names it."""
    return io.TextIOWrapper(open_bytes(path), encoding, errors, newline)


def read_text(path: str | Path) -> str:
    """Returns the text of a UTF-8 file; every error names it."""
    with open_text(path) as file:
        try:
            return file.read()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} is no UTF-8 text (byte {error.start})."
            ) from error

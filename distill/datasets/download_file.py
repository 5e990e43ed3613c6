"""One file from a server: continued where it broke off, checked by its hash."""

import dataclasses
import errno
import fcntl
import hashlib
import http.client
import os
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

from distill.datasets.download_plan import PlannedFile

_CHUNK_BYTES = 1 << 18
# These may be better in a moment; other answers of 400 and more may not.
_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0
_BREAKS = (OSError, http.client.HTTPException)
_BEGINS_AT = re.compile(r"bytes (\d+)-")


class DownloadError(Exception):
    """A file that could not be fetched, and why."""


class StoppedError(Exception):
    """The download was told to stop."""


class DiskFullError(Exception):
    """There is no room left where the files go."""


class _BrokenOffError(Exception):
    """An attempt that may be followed by another."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long is waited and how often is tried.

    Attributes:
      timeout: Seconds in which a server must send something.
      attempts: Attempts in a row that bring a file no further.
      hash_attempts: Whole files of another hash than planned.
      first_wait: Seconds before another attempt, doubled with each that brings
        the file no further.
    """

    timeout: float = 60.0
    attempts: int = 5
    hash_attempts: int = 3
    first_wait: float = 1.0


def partial_path(path: Path) -> Path:
    """Returns where a file lies as long as it is not whole."""
    return path.with_name(f".{path.name}.part")


class FileDownload:
    """Fetches one file.

    Args:
      planned: The file.
      directory: Where it goes.
      stop: Ends the download when set.
      patience: When to give up.
    """

    def __init__(
        self,
        planned: PlannedFile,
        directory: Path,
        stop: threading.Event,
        patience: Patience,
    ):
        self._planned = planned
        self._path = directory / planned.name
        self._partial = partial_path(self._path)
        self._stop = stop
        self._patience = patience

    def fetch(self) -> int:
        """Fetches the file; it gets its name once its hash is right.

        Returns:
          Its size.

        Raises:
          DownloadError: It cannot be fetched, or its hash stays wrong.
          DiskFullError: There is no room for it.
          StoppedError: The event was set.
        """
        try:
            with open(self._partial, "ab", buffering=0) as file:
                self._lock(file)
                self._fetch_right(file)
                size = os.fstat(file.fileno()).st_size
                os.fsync(file.fileno())
                os.replace(self._partial, self._path)
            return size
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(error.strerror) from error
            raise DownloadError(str(error)) from error

    def _lock(self, file):
        """Makes sure that no other process writes to the same file."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DownloadError("another download is at it") from error

    def _fetch_right(self, file):
        """Fetches until the hash is right."""
        for _ in range(self._patience.hash_attempts):
            self._fetch_whole(file)
            found = hash_file(self._partial, self._stop)
            if found == self._planned.md5:
                return
            file.truncate(0)
        self._partial.unlink()
        raise DownloadError(
            f"its MD5 hash is {found}, the plan says {self._planned.md5} "
            f"({self._patience.hash_attempts} times; {self._planned.address})"
        )

    def _fetch_whole(self, file):
        """Fetches until the server has no more to send."""
        failures, furthest = 0, os.fstat(file.fileno()).st_size
        while True:
            try:
                return self._continue(file)
            except _BrokenOffError as error:
                size = os.fstat(file.fileno()).st_size
                failures = 0 if size > furthest else failures + 1
                furthest = max(furthest, size)
                if failures >= self._patience.attempts:
                    raise DownloadError(
                        f"{error} ({failures} times; {self._planned.address})"
                    ) from error
            wait = self._patience.first_wait * 2**failures
            if self._stop.wait(min(wait, _LONGEST_WAIT)):
                raise StoppedError

    def _continue(self, file):
        """Asks for what is missing and writes it down.

        Raises:
          DownloadError: The server does not have the file.
          _BrokenOffError: The connection broke, or the server is busy.
        """
        start = os.fstat(file.fileno()).st_size
        request = urllib.request.Request(self._planned.address)
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            response = urllib.request.urlopen(
                request, timeout=self._patience.timeout
            )
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                # There is no more, or what is here is of another file: its
                # hash tells.
                return
            words = f"the server answered {error.code} {error.reason}"
            if error.code in _PASSING_STATUSES:
                raise _BrokenOffError(words) from error
            raise DownloadError(f"{words} ({self._planned.address})") from error
        except _BREAKS as error:
            reason = getattr(error, "reason", error)
            raise _BrokenOffError(f"no connection: {reason}") from error
        with response:
            self._write(file, response, start)

    def _write(self, file, response, start):
        if start and not _continues_at(response, start):
            # The server sends the file from its beginning.
            file.truncate(0)
        expected = response.headers.get("Content-Length")
        received = 0
        while chunk := _read(response):
            if self._stop.is_set():
                raise StoppedError
            write_all(file, chunk)
            received += len(chunk)
        if expected is not None and received < int(expected):
            raise _BrokenOffError(
                f"broken off after {received:,} of {int(expected):,} bytes"
            )


def _read(response) -> bytes:
    """Returns what has come, nothing at the end."""
    try:
        return response.read1(_CHUNK_BYTES)
    except _BREAKS as error:
        raise _BrokenOffError(f"broken off: {error}") from error


def _continues_at(response, start: int) -> bool:
    """Returns whether what a server sends begins at an offset."""
    match = _BEGINS_AT.match(response.headers.get("Content-Range", ""))
    return response.status == 206 and bool(match) and int(match[1]) == start


def write_all(file, chunk: bytes) -> None:
    """Writes a chunk to an unbuffered file."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def hash_file(path: Path, stop: threading.Event | None = None) -> str:
    """Returns a file's MD5 hash.

    Raises:
      StoppedError: The event was set.
    """
    digest = hashlib.md5()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if stop is not None and stop.is_set():
                raise StoppedError
            digest.update(chunk)
    return digest.hexdigest()

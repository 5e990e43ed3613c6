"""Downloads of many files at once, each checked by its hash.

A file that broke off is continued; one that cannot be fetched is reported and
does not stop the others.
"""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import http.client
import io
import os
import queue
import re
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from distill.datasets.download_plan import (
    PlannedFile,
    Source,
    choose_files,
    load_plan,
)
from distill.models.argument_checks import check_at_least
from distill.system.signals import catch_signals

_CHUNK_BYTES = 1 << 18
# Errors that may pass; after other statuses from 400 on there is no retry.
_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0
_BREAKS = (OSError, http.client.HTTPException)
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 2.0


class DownloadError(Exception):
    """The file could not be fetched."""


class StoppedError(Exception):
    """The download was told to stop."""


class DiskFullError(Exception):
    """There is no room left for the file."""


class _BrokenOffError(Exception):
    """An attempt that may be followed by another."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """Limits of waiting and trying.

    Attributes:
      timeout: Seconds in which a server must send something.
      attempts: Most attempts in a row that add nothing to a file.
      hash_attempts: Most downloads of a whole file with a wrong hash.
      first_wait: Seconds before another attempt, doubled with each that adds
        nothing.
    """

    timeout: float = 60.0
    attempts: int = 5
    hash_attempts: int = 3
    first_wait: float = 1.0


def partial_path(path: Path) -> Path:
    """Returns the path of a file while it is not whole."""
    return path.with_name(f".{path.name}.part")


class FileDownload:
    """Fetches one file into a directory, until the event `stop` is set."""

    def __init__(
        self,
        planned: PlannedFile,
        directory: Path,
        stop: threading.Event,
        patience: Patience,
    ) -> None:
        self._planned = planned
        self._path = directory / planned.name
        self._partial = partial_path(self._path)
        self._stop = stop
        self._patience = patience

    def fetch(self) -> int:
        """Fetches the file, which gets its name once its hash is right.

        Returns:
          Its size.

        Raises:
          DownloadError: It cannot be fetched, or its hash stays wrong.
          DiskFullError: There is no room for it.
          StoppedError: The event was set.
        """
        try:
            with open(self._partial, "ab", buffering=0) as file:
                _lock(file)
                self._fetch_right(file)
                size = os.fstat(file.fileno()).st_size
                os.fsync(file.fileno())
                os.replace(self._partial, self._path)
            return size
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(error.strerror) from error
            raise DownloadError(str(error)) from error

    def _fetch_right(self, file: io.FileIO) -> None:
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

    def _fetch_whole(self, file: io.FileIO) -> None:
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

    def _continue(self, file: io.FileIO) -> None:
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
                # The file has no more bytes, or is another one: see its hash.
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

    def _write(
        self, file: io.FileIO, response: http.client.HTTPResponse, start: int
    ) -> None:
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


def _lock(file: io.FileIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DownloadError("another download is at it") from error


def _read(response: http.client.HTTPResponse) -> bytes:
    """Returns the bytes that have come; none at the end."""
    try:
        return response.read1(_CHUNK_BYTES)
    except _BREAKS as error:
        raise _BrokenOffError(f"broken off: {error}") from error


def _continues_at(response: http.client.HTTPResponse, start: int) -> bool:
    content_range = response.headers.get("Content-Range", "")
    return response.status == 206 and bool(
        re.match(rf"bytes 0*{start}-", content_range)
    )


def write_all(file: io.FileIO, chunk: bytes) -> None:
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


@dataclasses.dataclass
class DownloadResult:
    """Outcome of a download.

    Attributes:
      num_present: Files that were on the disk already.
      num_fetched: Files that were fetched.
      num_bytes: Bytes of the fetched files.
      failed: The problem of every file that failed, by its name.
      stopped: Whether Ctrl-C or SIGTERM came.
    """

    num_present: int = 0
    num_fetched: int = 0
    num_bytes: int = 0
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    stopped: bool = False


class CheckedFiles:
    """The files of a directory whose hash was found to be right.

    A file whose size or time has changed since is unknown. A text file in the
    directory holds the list, one line per file; torn lines are ignored.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / ".checked_files.txt"
        self._known: set[str] = set()
        if self._path.exists():
            self._known.update(self._path.read_text().splitlines())

    def add(self, planned: PlannedFile) -> None:
        """Adds a file with its planned hash."""
        line = self._describe(planned)
        if line in self._known:
            return
        self._known.add(line)
        # Line breaks at both ends keep a torn line before it apart.
        with open(self._path, "a") as file:
            file.write(f"\n{line}\n")

    def has(self, planned: PlannedFile) -> bool:
        """Returns whether a file is known to have its planned hash."""
        return self._describe(planned) in self._known

    def _describe(self, planned: PlannedFile) -> str:
        found = os.stat(self._directory / planned.name)
        return (
            f"{planned.md5} {found.st_size} {found.st_mtime_ns} {planned.name}"
        )


class Download:
    """Downloads the missing files of a shard.

    Args:
      source: The partition and its servers.
      directory: Directory of the files; made if it is missing.
      shard: `m,n` for part m, from 1, of n; None for all.
      num_jobs: Files to fetch at once.
      patience: When to give up a file.

    Raises:
      ValueError: There is no plan, or no file of it belongs to the shard.
    """

    def __init__(
        self,
        source: Source,
        directory: str | Path,
        shard: str | None = None,
        num_jobs: int = 4,
        patience: Patience | None = None,
    ) -> None:
        check_at_least(1, jobs=num_jobs)
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._patience = patience or Patience()
        plan = load_plan(source, self.directory, self._patience.timeout)
        self.num_planned = len(plan)
        self.files = choose_files(source, plan, shard)
        self._num_jobs = num_jobs
        self._checked = CheckedFiles(self.directory)
        self._stop = threading.Event()

    def run(self, report: Callable[[str], None]) -> DownloadResult:
        """Fetches the missing files.

        After Ctrl-C, SIGTERM or a full disk, another call continues the files
        that were begun.

        Args:
          report: Called with a line on each file.
        """
        result = DownloadResult()
        started = time.monotonic()
        with (
            catch_signals() as caught,
            contextlib.closing(self._outcomes(caught)) as outcomes,
        ):
            for file, outcome in outcomes:
                if isinstance(outcome, DiskFullError):
                    words = f"{outcome}; {self.describe_room()}"
                    result.failed[file.name] = words
                    break
                if isinstance(outcome, Exception):
                    result.failed[file.name] = str(outcome)
                    report(f"FAILED {file.name}: {outcome}")
                elif outcome is None:
                    result.num_present += 1
                else:
                    result.num_fetched += 1
                    result.num_bytes += outcome
                    rate = result.num_bytes / (time.monotonic() - started)
                    done = result.num_present + result.num_fetched
                    report(
                        f"fetched {file.name} ({outcome / 1e6:.1f} MB), "
                        f"{done} of {len(self.files)} are there, "
                        f"{rate / 1e6:.1f} MB/s"
                    )
        result.stopped = bool(caught)
        return result

    def _outcomes(
        self, caught: Sequence
    ) -> Generator[tuple[PlannedFile, int | Exception | None], None, None]:
        """Yields files with their size if fetched, an error if that failed.

        The threads are daemons: a silent server does not delay the exit.
        """
        waiting: queue.SimpleQueue = queue.SimpleQueue()
        done: queue.SimpleQueue = queue.SimpleQueue()
        for file in self.files:
            waiting.put(file)
        threads = [
            threading.Thread(
                target=self._work, args=(waiting, done), daemon=True
            )
            for _ in range(min(self._num_jobs, len(self.files)))
        ]
        for thread in threads:
            thread.start()
        try:
            left = len(self.files)
            while left and not caught:
                try:
                    file, outcome = done.get(timeout=_SECONDS_BETWEEN_LOOKS)
                except queue.Empty:
                    continue
                left -= 1
                if not isinstance(outcome, Exception):
                    self._checked.add(file)
                yield file, outcome
        finally:
            self._stop.set()
            end = time.monotonic() + _SECONDS_TO_END
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))

    def _work(
        self, waiting: queue.SimpleQueue, done: queue.SimpleQueue
    ) -> None:
        while not self._stop.is_set():
            try:
                file = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((file, self._fetch(file)))
            except StoppedError:
                return
            except Exception as error:
                # Any error is reported, not lost with the thread.
                done.put((file, error))

    def _fetch(self, file: PlannedFile) -> int | None:
        path = self.directory / file.name
        if path.exists():
            if self._checked.has(file):
                return None
            if hash_file(path, self._stop) == file.md5:
                return None
            # Perhaps the beginning of the file; otherwise it is removed.
            os.replace(path, partial_path(path))
        download = FileDownload(
            file, self.directory, self._stop, self._patience
        )
        return download.fetch()

    def describe_room(self) -> str:
        """Says how much room the directory has."""
        free = shutil.disk_usage(self.directory).free
        return f"{free / 1e9:,.1f} GB free in {self.directory}"

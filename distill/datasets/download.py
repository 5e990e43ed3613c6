"""Downloads of many files at once, each checked by its hash.

A file that broke off is continued; one that cannot be fetched is reported and
does not stop the others.
"""

import contextlib
import dataclasses
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
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from distill.datasets.download_plan import (
    PlannedFile,
    Source,
    choose_files,
    load_plan,
)
from distill.models.argument_checks import check_at_least
from distill.system.signals import Terminated
from distill.system.storage import local_path
from distill.system.write_errors import DISK_FULL_ERRNOS

_CHUNK_BYTES = 1 << 18
# Errors that may pass; after other statuses from 400 on there is no retry.
_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0
_BREAKS = (OSError, http.client.HTTPException)
_SECONDS_TO_END = 2.0


class DownloadError(Exception):
    """The file could not be fetched."""


class StoppedError(Exception):
    """The download was told to stop."""


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


@dataclasses.dataclass(frozen=True)
class FileDownload:
    """Fetches one file to a path, until the event `stop` is set."""

    planned: PlannedFile
    path: Path
    stop: threading.Event
    patience: Patience

    def fetch(self) -> int:
        """Fetches the file, which gets its name once its hash is right.

        Returns its size. Raises DownloadError, StoppedError or, if the disk
        does not take the file, OSError.
        """
        partial = partial_path(self.path)
        with open(partial, "ab", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DownloadError("another download is at it") from error
            self._fetch_right(file, partial)
            os.fsync(file.fileno())
            os.replace(partial, self.path)
            return _size(file)

    def _fetch_right(self, file: io.FileIO, partial: Path) -> None:
        for _ in range(self.patience.hash_attempts):
            self._fetch_whole(file)
            found = hash_file(partial)
            if found == self.planned.md5:
                return
            file.truncate(0)
        partial.unlink()
        raise DownloadError(
            f"its MD5 hash is {found}, the plan says {self.planned.md5} "
            f"({self.patience.hash_attempts} times; {self.planned.address})"
        )

    def _fetch_whole(self, file: io.FileIO) -> None:
        failures, furthest = 0, _size(file)
        while True:
            try:
                return self._continue(file)
            except _BrokenOffError as error:
                size = _size(file)
                failures = 0 if size > furthest else failures + 1
                furthest = max(furthest, size)
                if failures >= self.patience.attempts:
                    raise DownloadError(
                        f"{error} ({failures} times; {self.planned.address})"
                    ) from error
            wait = self.patience.first_wait * 2**failures
            if self.stop.wait(min(wait, _LONGEST_WAIT)):
                raise StoppedError

    def _continue(self, file: io.FileIO) -> None:
        start = _size(file)
        request = urllib.request.Request(self.planned.address)
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            response = urllib.request.urlopen(
                request, timeout=self.patience.timeout
            )
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                # The file has no more bytes, or is another one: see its hash.
                return
            words = f"the server answered {error.code} {error.reason}"
            if error.code in _PASSING_STATUSES:
                raise _BrokenOffError(words) from error
            raise DownloadError(f"{words} ({self.planned.address})") from error
        except _BREAKS as error:
            reason = getattr(error, "reason", error)
            raise _BrokenOffError(f"no connection: {reason}") from error
        with response:
            self._write(file, response, start)

    def _write(
        self, file: io.FileIO, response: http.client.HTTPResponse, start: int
    ) -> None:
        found = re.match(
            rf"bytes 0*{start}-", response.headers.get("Content-Range", "")
        )
        if start and not (response.status == 206 and found):
            # The server sends the file from its beginning.
            file.truncate(0)
        expected = response.headers.get("Content-Length")
        received = 0
        while chunk := _read(response):
            if self.stop.is_set():
                raise StoppedError
            write_all(file, chunk)
            received += len(chunk)
        if expected is not None and received < int(expected):
            raise _BrokenOffError(
                f"broken off after {received:,} of {int(expected):,} bytes"
            )


def _size(file: io.FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _read(response: http.client.HTTPResponse) -> bytes:
    """Returns the bytes that have come; none at the end."""
    try:
        return response.read1(_CHUNK_BYTES)
    except _BREAKS as error:
        raise _BrokenOffError(f"broken off: {error}") from error


def write_all(file: io.FileIO, chunk: bytes) -> None:
    """Writes a chunk to an unbuffered file."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def hash_file(path: Path) -> str:
    """Returns a file's MD5 hash."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


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
        self.directory = local_path("output_dir", directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._patience = patience or Patience()
        plan = load_plan(source, self.directory, self._patience.timeout)
        self.num_planned = len(plan)
        self.files = choose_files(source, plan, shard)
        self._num_jobs = num_jobs
        self._checked = CheckedFiles(self.directory)
        self._stop = threading.Event()

    def run(self, report: Callable[[str], None]) -> DownloadResult:
        """Fetches the missing files; calls `report` with a line on each.

        After Ctrl-C, SIGTERM (where it raises `Terminated`) or a full disk,
        another call continues the files that were begun.
        """
        result = DownloadResult()
        started = time.monotonic()
        try:
            with contextlib.closing(self._outcomes()) as outcomes:
                for file, outcome in outcomes:
                    if (
                        isinstance(outcome, OSError)
                        and outcome.errno in DISK_FULL_ERRNOS
                    ):
                        words = f"{outcome.strerror}; {self.describe_room()}"
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
        except (KeyboardInterrupt, Terminated):
            result.stopped = True
        return result

    def _outcomes(
        self,
    ) -> Generator[tuple[PlannedFile, int | Exception | None], None, None]:
        """Yields files with their size if fetched, an error if that failed.

        The threads are daemons: a silent server does not delay the exit.
        """
        done: queue.SimpleQueue = queue.SimpleQueue()
        # The threads share the iterator: each file goes to one of them.
        arguments = (iter(self.files), done)
        threads = [
            threading.Thread(target=self._work, args=arguments, daemon=True)
            for _ in range(min(self._num_jobs, len(self.files)))
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in self.files:
                file, outcome = done.get()
                if not isinstance(outcome, Exception):
                    self._checked.add(file)
                yield file, outcome
        finally:
            self._stop.set()
            end = time.monotonic() + _SECONDS_TO_END
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))

    def _work(
        self, files: Iterator[PlannedFile], done: queue.SimpleQueue
    ) -> None:
        for file in files:
            try:
                done.put((file, self._fetch(file)))
            except StoppedError:
                return
            except Exception as error:
                # Any error is reported, not lost with the thread.
                done.put((file, error))
            if self._stop.is_set():
                return

    def _fetch(self, file: PlannedFile) -> int | None:
        path = self.directory / file.name
        if path.exists():
            if self._checked.has(file) or hash_file(path) == file.md5:
                return None
            # Perhaps the beginning of the file; otherwise it is removed.
            os.replace(path, partial_path(path))
        return FileDownload(file, path, self._stop, self._patience).fetch()

    def describe_room(self) -> str:
        """Says how much room the directory has."""
        free = shutil.disk_usage(self.directory).free
        return f"{free / 1e9:,.1f} GB free in {self.directory}"

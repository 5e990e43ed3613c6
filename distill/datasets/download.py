"""Many files downloaded side by side, whatever befalls some of them."""

import contextlib
import dataclasses
import http.client
import os
import queue
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from distill.datasets.download_file import (
    DiskFullError,
    FileDownload,
    Patience,
    StoppedError,
    hash_file,
    partial_path,
)
from distill.datasets.download_plan import (
    PlannedFile,
    Source,
    choose_files,
    parse_plan,
    read_plan,
)
from distill.models.argument_checks import check_at_least
from distill.system.atomic_files import replace_atomically
from distill.system.signals import catch_signals

_CHECKED = "checked_files.txt"
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 2.0


@dataclasses.dataclass
class DownloadResult:
    """What became of the files.

    Attributes:
      num_present: Files that were there already.
      num_fetched: Files that were fetched.
      num_bytes: Their bytes.
      failed: What went wrong, by the file's name.
      stopped: Whether Ctrl-C or SIGTERM came.
    """

    num_present: int = 0
    num_fetched: int = 0
    num_bytes: int = 0
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    stopped: bool = False


def load_plan(
    source: Source, directory: Path, timeout: float
) -> dict[str, str]:
    """Returns a partition's plan, which is fetched if it is not there.

    Args:
      source: The partition and its servers.
      directory: Where the plan lies on the disk.
      timeout: Seconds in which the server must send something.

    Raises:
      ValueError: It cannot be fetched, or is no plan.
    """
    path = directory / source.plan_file
    if path.exists():
        return read_plan(path)
    address = source.plan_address
    try:
        with urllib.request.urlopen(address, timeout=timeout) as response:
            contents = response.read()
        plan = parse_plan(contents)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ValueError(
            f"The plan of {source.partition} cannot be fetched from {address}: "
            f"{error}."
        ) from error
    with replace_atomically(path) as temporary:
        temporary.write_bytes(contents)
    return plan


class CheckedFiles:
    """Which files of a directory were found to have their planned hash.

    A file that has changed its size or its time since is unknown. The list
    lies in the directory, a line a file; what of it is torn is left out.

    Args:
      directory: The directory.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        self._path = directory / f".{_CHECKED}"
        self._known: set[str] = set()
        if self._path.exists():
            self._known.update(self._path.read_text().splitlines())

    def add(self, planned: PlannedFile) -> None:
        """Notes that a file has its planned hash."""
        line = self._describe(planned)
        if line in self._known:
            return
        self._known.add(line)
        # A line break at both ends: what another left torn stays apart.
        with open(self._path, "a") as file:
            file.write(f"\n{line}\n")

    def has(self, planned: PlannedFile) -> bool:
        """Returns whether a file is known to have its planned hash."""
        return self._describe(planned) in self._known

    def _describe(self, planned):
        found = os.stat(self._directory / planned.name)
        return (
            f"{planned.md5} {found.st_size} {found.st_mtime_ns} {planned.name}"
        )


class Download:
    """Downloads the files of a shard that are not there yet.

    Args:
      source: The partition and its servers.
      directory: Where the files go; made if it is not there.
      shard: `m,n` for part m, from 1, of n; None for all.
      num_jobs: Files to fetch at once.
      patience: When to give up a file.

    Raises:
      ValueError: There is no plan, or nothing in it falls to the shard.
    """

    def __init__(
        self,
        source: Source,
        directory: str | Path,
        shard: str | None = None,
        num_jobs: int = 4,
        patience: Patience | None = None,
    ):
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
        """Fetches what lacks.

        Args:
          report: Is given a line on everything that is done.

        Returns:
          What became of the files. After Ctrl-C, SIGTERM or a full disk what
          was begun is kept, to be continued by another call.
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
    ) -> Iterator[tuple[PlannedFile, int | None | Exception]]:
        """Yields files with their size if fetched, None if there, an error.

        The threads die with the program: a server that sends nothing for a
        while does not hold up its end.
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
            _join(threads)

    def _work(self, waiting, done):
        """Does one file after the other until none is left."""
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
                # Whatever it is, it is reported and not lost with the thread.
                done.put((file, error))

    def _fetch(self, file: PlannedFile) -> int | None:
        path = self.directory / file.name
        if path.exists():
            if self._checked.has(file):
                return None
            if hash_file(path, self._stop) == file.md5:
                return None
            # It may be the beginning of the file, and is removed if it is not.
            os.replace(path, partial_path(path))
        download = FileDownload(
            file, self.directory, self._stop, self._patience
        )
        return download.fetch()

    def describe_room(self) -> str:
        """Says how much room there is where the files go."""
        free = shutil.disk_usage(self.directory).free
        return f"{free / 1e9:,.1f} GB free in {self.directory}"


def _join(threads: Iterable[threading.Thread]) -> None:
    end = time.monotonic() + _SECONDS_TO_END
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))

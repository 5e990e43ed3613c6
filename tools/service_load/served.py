"""A process of `distill serve` under test."""

import concurrent.futures
import contextlib
import dataclasses
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

_STOP_SECONDS = 60


@dataclasses.dataclass
class Served:
    """A service that answers requests.

    Attributes:
      process: Its process.
      port: Its port.
      log: The file of its standard error.
      lines: What it has printed so far, since it was ready.
    """

    process: subprocess.Popen
    port: int
    log: Path
    lines: list[str] = dataclasses.field(default_factory=list)

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self.port}"

    def reload(self) -> None:
        """Lets it load its artifact again."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Stops it; returns its status."""
        self.process.terminate()
        return self.process.wait(_STOP_SECONDS)


@contextlib.contextmanager
def served(
    artifact: Path, log: Path, *flags: str, open_files: int | None = None
) -> Iterator[Served]:
    """Gives a service of an artifact that is ready.

    Args:
      artifact: What it serves, on the CPU.
      log: File for its standard error.
      *flags: More flags of `distill serve`.
      open_files: Its limit on open files; None for this process's.

    Raises:
      OSError: It has ended before it was ready.
    """
    words = [sys.executable, "-m", "distill", "serve", "--port=0", "--gpu=-1"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*words, f"--artifact={artifact}", *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    output = cast(IO[str], process.stdout)
    try:
        if open_files is not None:
            limits = (open_files, open_files)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        _, _, place = output.readline().partition(" at http://127.0.0.1:")
        if not place:
            raise OSError(f"The service ended: {log.read_text()[-1000:]}")
        service = Served(process, int(place.partition("/")[0]), log)
        with concurrent.futures.ThreadPoolExecutor(1) as reader:
            # What it prints must be read, or it would wait.
            reader.submit(service.lines.extend, output)
            try:
                yield service
            finally:
                process.kill()
    finally:
        process.kill()
        process.wait()
        output.close()

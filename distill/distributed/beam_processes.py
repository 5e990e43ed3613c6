"""Processes that DirectRunner starts on this machine, and does not end."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
# The module that such a process runs.
_PROGRAM = b"apache_beam.runners.worker.sdk_worker_main"


def end_worker_processes() -> None:
    """Kills Beam's worker processes below this one, where Linux lists them.

    They would go on with their task and then report that nobody listens.
    """
    for number in list(_descendants(os.getpid())):
        with contextlib.suppress(OSError):
            if _PROGRAM in (_PROC / str(number) / "cmdline").read_bytes():
                os.kill(number, signal.SIGKILL)


def _descendants(number: int) -> Iterator[int]:
    """Yields the processes that a process has started, and theirs."""
    with contextlib.suppress(OSError):
        for thread in list((_PROC / str(number) / "task").iterdir()):
            for word in (thread / "children").read_text().split():
                yield int(word)
                yield from _descendants(int(word))

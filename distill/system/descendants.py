"""The processes that this one has started, and those that they have."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def kill_descendants(program: bytes) -> None:
    """Kills those whose command holds some bytes, where Linux lists them."""
    for number in list(_descendants(os.getpid())):
        with contextlib.suppress(OSError):
            if program in (_PROC / str(number) / "cmdline").read_bytes():
                os.kill(number, signal.SIGKILL)


def _descendants(number: int) -> Iterator[int]:
    """Yields the processes below a process."""
    try:
        threads = list((_PROC / str(number) / "task").iterdir())
    except OSError:
        return
    for thread in threads:
        # It may have ended meanwhile; the others have children of their own.
        with contextlib.suppress(OSError):
            for word in (thread / "children").read_text().split():
                yield int(word)
                yield from _descendants(int(word))

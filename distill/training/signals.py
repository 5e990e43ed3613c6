"""Ending a run between two steps instead of inside one."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def catch_signals() -> Iterator[list[signal.Signals]]:
    """Collects Ctrl-C and SIGTERM; a second Ctrl-C interrupts at once."""
    caught: list[signal.Signals] = []

    def catch(number, frame):
        if caught:
            raise KeyboardInterrupt
        caught.append(signal.Signals(number))

    kinds = (signal.SIGINT, signal.SIGTERM)
    previous = {kind: signal.signal(kind, catch) for kind in kinds}
    try:
        yield caught
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)

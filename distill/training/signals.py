"""Ending at the right place when Ctrl-C or SIGTERM comes."""

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


@contextlib.contextmanager
def remember_interrupt() -> Iterator[list[signal.Signals]]:
    """Collects Ctrl-C and interrupts at once, as Python does by itself.

    A KeyboardInterrupt that comes while an object is destroyed is lost; what
    was collected is not, so a loop for ever can end by it.
    """
    caught: list[signal.Signals] = []

    def catch(number, frame):
        caught.append(signal.Signals(number))
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, catch)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, previous)

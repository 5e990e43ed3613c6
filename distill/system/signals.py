"""Ending at the right place when Ctrl-C or SIGTERM comes."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class Terminated(BaseException):
    """SIGTERM, or SIGHUP of a terminal that was closed, ends the program."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def end_by_signals() -> None:
    """Lets SIGTERM and SIGHUP raise `Terminated`, as Ctrl-C raises its own.

    What is being written is then removed. `nohup` still holds.
    """

    def end(number, frame):
        raise Terminated(number)

    for kind in _kinds()[1:]:
        signal.signal(kind, end)


def _kinds() -> tuple[signal.Signals, ...]:
    """Returns the signals that end a program; under `nohup` without SIGHUP."""
    kinds = (signal.SIGINT, signal.SIGTERM)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return kinds
    return (*kinds, signal.SIGHUP)


@contextlib.contextmanager
def signals_handled_by(handler: Callable) -> Iterator[None]:
    """Lets a handler take Ctrl-C, SIGTERM and SIGHUP while the body runs.

    Python lets the main thread alone set handlers: in another one the body
    runs without.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {kind: signal.signal(kind, handler) for kind in _kinds()}
    try:
        yield
    finally:
        for kind, old in previous.items():
            signal.signal(kind, old)


@contextlib.contextmanager
def catch_signals() -> Iterator[list[signal.Signals]]:
    """Collects Ctrl-C, SIGTERM and SIGHUP; a second one interrupts at once."""
    caught: list[signal.Signals] = []

    def catch(number, frame):
        if caught:
            raise KeyboardInterrupt
        caught.append(signal.Signals(number))

    with signals_handled_by(catch):
        yield caught


@contextlib.contextmanager
def remember_interrupt() -> Iterator[list[BaseException]]:
    """Raises at a signal, as `end_by_signals` does, and collects what it was.

    Python drops an exception that is raised while an object is destroyed. An
    endless loop can still end by what was collected.
    """
    caught: list[BaseException] = []

    def catch(number, frame):
        interrupt = number == signal.SIGINT
        caught.append(KeyboardInterrupt() if interrupt else Terminated(number))
        raise caught[-1]

    with signals_handled_by(catch):
        yield caught

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


# What `end_by_signals` has raised.
_raised: list[BaseException] = []


def end_by_signals() -> None:
    """Lets SIGTERM and SIGHUP raise `Terminated`, Ctrl-C `KeyboardInterrupt`.

    What is being written is then removed. `nohup` still holds.
    """

    def end(number, frame):
        _raised.append(_error_of(number))
        raise _raised[-1]

    _raised.clear()
    for kind in _kinds():
        # A shell lets programs in the background ignore Ctrl-C.
        ignored = signal.getsignal(kind) == signal.SIG_IGN
        if kind != signal.SIGINT or not ignored:
            signal.signal(kind, end)


def _error_of(number: int) -> BaseException:
    is_interrupt = number == signal.SIGINT
    return KeyboardInterrupt() if is_interrupt else Terminated(number)


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
    runs without. An exception of `end_by_signals` that Python has dropped
    before, as it does while an object is destroyed, is raised first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if _raised:
        raise _raised.pop()
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
        caught.append(_error_of(number))
        raise caught[-1]

    with signals_handled_by(catch):
        yield caught

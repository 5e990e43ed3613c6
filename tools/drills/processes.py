"""Processes to kill: the command `distill`, run as a user runs it."""

import atexit
import multiprocessing
import os
import runpy
import signal
import sys
import time
import unittest.mock
import weakref
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

# The server imports these once; warm processes are forked from it.
_PRELOADED = [
    "tensorflow",
    "keras",
    "distill.training.loop",
    "distill.evaluation.evaluate",
    "distill.deployment.export",
]
# What still runs then hangs; a busy machine is slow.
HANG_SECONDS = 1800.0


class Processes:
    """Starts commands.

    Args:
      warm: Fork processes from one that has imported TensorFlow, instead of
        starting each afresh, which takes seconds.
      library: Shared library that warm processes load before all others.
    """

    def __init__(self, warm: bool = True, library: Path | None = None):
        self._context: SpawnContext | ForkServerContext
        self._started: weakref.WeakSet[BaseProcess] = weakref.WeakSet()
        atexit.register(self._kill_all)
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            # A shell lets programs in the background ignore Ctrl-C, and so
            # would all that they start.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if warm:
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(_PRELOADED)
            _start_server({"LD_PRELOAD": str(library)} if library else {})
        else:
            self._context = multiprocessing.get_context("spawn")

    def start(
        self,
        words: Sequence[str],
        output: Path,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> BaseProcess:
        """Starts a command.

        Args:
          words: A verb of `distill` and its flags.
          output: File for what it prints.
          environment: Additional environment variables.
          prepare: Called in the process before the command; a function that
            can be pickled.
        """
        process = self._context.Process(
            target=_run,
            args=(words, str(output), dict(environment or {}), prepare),
        )
        process.start()
        self._started.add(process)
        return process

    def _kill_all(self) -> None:
        """Ends what still runs; daemons could not have children."""
        for process in self._started:
            process.kill()


def _start_server(environment: Mapping[str, str]) -> None:
    """Starts the server without the messages of its imports."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with unittest.mock.patch.dict(os.environ, environment):
            forkserver.ensure_running()
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _run(
    words: Sequence[str],
    output: str,
    environment: Mapping[str, str],
    prepare: Callable[[], None] | None,
) -> None:
    """Runs `python -m distill` in this process."""
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["distill", *words]
    if prepare is not None:
        prepare()
    runpy.run_module("distill", None, "__main__", True)


def wait_for(
    process: BaseProcess,
    condition: Callable[[], bool],
    poll_seconds: float = 0.0005,
) -> bool:
    """Waits for a condition; returns False if the process ends before.

    Raises:
      TimeoutError: Neither happens in half an hour.
    """
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        if condition():
            return True
        if not process.is_alive():
            return False
        time.sleep(poll_seconds)
    process.kill()
    raise TimeoutError(f"A process takes more than {HANG_SECONDS:.0f} s.")


def wait_seconds(process: BaseProcess, seconds: float) -> bool:
    """Waits some seconds; returns False if the process ends before."""
    process.join(seconds)
    return process.is_alive()

"""The processes that are killed: entry points, run as a user runs them."""

import multiprocessing
import os
import runpy
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

from tools.drills.stages import Command

# Imported once, by the server from which the warm processes are forked.
_PRELOADED = [
    "tensorflow",
    "keras",
    "distill.training.loop",
    "distill.evaluation.evaluate",
    "distill.deployment.export",
]
_MOST_SECONDS = 300.0


class Processes:
    """Starts commands.

    Args:
      warm: Whether processes are forked from one that has imported TensorFlow,
        or start from nothing, which takes seconds each.
    """

    def __init__(self, warm: bool = True):
        kind = "forkserver" if warm else "spawn"
        self._context = multiprocessing.get_context(kind)
        if warm:
            self._context.set_forkserver_preload(_PRELOADED)
            _start_server()

    def start(
        self,
        command: Command,
        output: Path,
        environment: Mapping[str, str] | None = None,
    ) -> BaseProcess:
        """Starts a command.

        Args:
          command: What to run, its directories filled in.
          output: File to which it prints.
          environment: Variables for it.
        """
        process = self._context.Process(
            target=_run,
            args=(
                command.script,
                command.flags,
                str(output),
                dict(environment or {}),
            ),
            # It does not outlive the drills.
            daemon=True,
        )
        process.start()
        return process


def _start_server() -> None:
    """Starts the server, whose imports say more than anyone wants to know."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        forkserver.ensure_running()
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _run(
    script: str,
    flags: Sequence[str],
    output: str,
    environment: Mapping[str, str],
) -> None:
    """Runs an entry point in this process, as `python -m` does."""
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["distill", script, *flags]
    runpy.run_module("distill", None, "__main__", True)


def wait_for(
    process: BaseProcess,
    condition: Callable[[], bool],
    poll_seconds: float = 0.0005,
) -> bool:
    """Waits until a condition holds; False if the process ends before.

    Raises:
      TimeoutError: Neither comes.
    """
    end = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < end:
        if condition():
            return True
        if not process.is_alive():
            return False
        time.sleep(poll_seconds)
    process.kill()
    raise TimeoutError(f"A process took more than {_MOST_SECONDS:.0f} s.")


def wait_seconds(process: BaseProcess, seconds: float) -> bool:
    """Waits some seconds; False if the process ends before."""
    process.join(seconds)
    return process.is_alive()

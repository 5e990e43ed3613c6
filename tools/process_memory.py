"""Memory of processes, as Linux reports it."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def resident_bytes(pid: int | str = "self") -> int:
    """Returns the resident memory of a process.

    Raises:
      OSError: There is no such process, or no `/proc`.
    """
    return _read_status(pid, "VmRSS")


def peak_bytes(pid: int | str = "self") -> int:
    """Returns the largest resident memory of a process so far.

    Raises:
      OSError: There is no such process, or no `/proc`.
    """
    return _read_status(pid, "VmHWM")


def _read_status(pid: int | str, name: str) -> int:
    path = Path(f"/proc/{pid}/status")
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise OSError(f"{path} has no {name}.")


def run_in_new_process(
    function: Callable[_Arguments, _Result],
    *arguments: _Arguments.args,
    **options: _Arguments.kwargs,
) -> _Result:
    """Returns a function's result from a process that starts fresh.

    Its peak memory is its own: a forked process inherits its parent's.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        1, context, initializer=_drop_stderr
    ) as pool:
        return pool.submit(function, *arguments, **options).result()


def _drop_stderr() -> None:
    """Drops what TensorFlow's C++ code prints when it starts."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

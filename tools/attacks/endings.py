"""How a command must end: equal, or with one line that says why."""

import re
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from tools.drills.folder import leftovers

_TRACES = re.compile(r"Traceback \(most recent call last\)|^  File \"", re.M)
_ERROR = re.compile(r"^(?:\[\d+\] )?ERROR: .*", re.M)


def wait_for_end(process: BaseProcess, most_seconds: float) -> int | None:
    """Returns the exit status; None for a process that had to be killed."""
    process.join(most_seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return process.exitcode


def find_bad_ending(
    status: int | None, output: str, mentioned: Sequence[str] = ()
) -> str:
    """Describes what is wrong with a command's end; empty for nothing.

    Args:
      status: Its exit status, None if it did not end.
      output: What it printed.
      mentioned: Texts of which the line of an error must hold each.
    """
    if status is None:
        return "it did not end"
    lines = output.strip().splitlines()
    last = lines[-1] if lines else "nothing"
    if status < 0:
        return f"signal {-status} ended it: {last}"
    if _TRACES.search(output):
        return f"it printed a trace: {last}"
    errors = _ERROR.findall(output)
    if status == 0:
        return f"status 0 after {errors[0]}" if errors else ""
    if status != 1:
        return f"it ended with status {status}: {last}"
    if len(errors) != 1 or errors[0] != last:
        return f"it printed {len(errors)} errors, at last: {last}"
    missing = [text for text in mentioned if text not in errors[0]]
    return f"no {missing[0]!r} in {errors[0]}" if missing else ""


def find_leftovers(directory: Path) -> list[str]:
    """Returns the temporary files below a directory."""
    folders = [directory, *(p for p in directory.rglob("*") if p.is_dir())]
    return [f"{name} is left" for each in folders for name in leftovers(each)]

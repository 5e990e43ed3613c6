"""The end of a process that waits outside of Python."""

import subprocess
import sys

from distill.system.deadline import ended_after
from tests.hang_guard import HANG_SECONDS


def test_a_process_that_runs_no_python_code_ends_with_a_line():
    """As one that waits in TensorFlow for a worker that is gone."""
    code = (
        "import ctypes\n"
        "from distill.system.deadline import ended_after\n"
        'with ended_after(0.2, "ERROR: worker 1 of 2: it\'s gone."):\n'
        # With the interpreter's lock, unlike `ctypes.CDLL`.
        f"    ctypes.PyDLL(None).sleep({HANG_SECONDS})\n"
    )
    # The shell that prints the line holds the pipe: its end is awaited too.
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    line = "ERROR: worker 1 of 2: it's gone.\n"
    assert (done.returncode, done.stdout) == (1, line)


def test_a_process_that_is_in_time_goes_on(capfd):
    with ended_after(HANG_SECONDS, "ERROR: too late."):
        pass
    assert capfd.readouterr() == ("", "")

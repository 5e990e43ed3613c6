"""An end for what may wait forever outside of Python."""

import contextlib
import faulthandler
import os
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def ended_after(seconds: float, line: str) -> Iterator[None]:
    """Ends the process with a line and status 1 if the body takes longer.

    TensorFlow waits for workers without letting any Python code run, be it
    of a signal or of a thread. A thread of `faulthandler` needs none: what it
    prints before it ends the process wakes a shell, which prints the line, to
    standard output: entry points keep back standard error meanwhile.
    """
    reading, writing = os.pipe()
    shell = subprocess.Popen(
        ["sh", "-c", 'read -r _ && echo "$1"', "sh", line], stdin=reading
    )
    os.close(reading)
    faulthandler.dump_traceback_later(seconds, exit=True, file=writing)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        os.close(writing)
        shell.wait()

"""Signals end the program wherever they come."""

import signal
import subprocess
import sys

import pytest

# Python drops what a handler raises while an object is destroyed.
PROGRAM = """
import os, signal, sys
from distill.system.signals import Terminated, catch_signals, end_by_signals

class Object:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        for _ in range(1_000):
            pass

end_by_signals()
Object()
print("dropped", flush=True)
try:
    with catch_signals():
        print("went on")
except (KeyboardInterrupt, Terminated) as error:
    print(f"ended by {error!r}")
with catch_signals():
    print("once")
"""


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGINT, "KeyboardInterrupt()"),
        (signal.SIGTERM, "Terminated('SIGTERM')"),
    ],
)
def test_a_signal_that_python_dropped_is_not_lost(number, error):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number))],
        capture_output=True,
        text=True,
    )
    expected = f"dropped\nended by {error}\nonce\n"
    assert done.stdout == expected, done.stderr
    assert "Exception ignored in" in done.stderr


def test_a_program_in_the_background_ignores_ctrl_c():
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    done = subprocess.run(
        [*shell, sys.executable, "-c", PROGRAM, str(int(signal.SIGINT))],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "dropped\nwent on\nonce\n"
    assert done.stderr == ""

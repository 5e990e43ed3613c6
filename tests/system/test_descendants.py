"""Processes below this one end, and no others."""

import signal
import subprocess
import sys

from distill.system import descendants
from distill.system.descendants import kill_descendants
from tests.hang_guard import HANG_SECONDS, wait_until

SLEEP = "import time; time.sleep({})  # {}"


def test_the_processes_of_a_program_are_killed_and_no_others():
    marked = SLEEP.format(HANG_SECONDS, "a-marked-program")
    below = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {marked!r}])\n"
        "print('ready', flush=True)\n"
        "print(p.wait())"
    )
    other = SLEEP.format(HANG_SECONDS, "another")
    starts = subprocess.Popen(
        [sys.executable, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    starts.stdin.write(below)
    starts.stdin.close()
    with starts, subprocess.Popen([sys.executable, "-c", other]) as kept:
        assert starts.stdout.readline() == "ready\n"

        def is_over():
            kill_descendants(b"a-marked-program")
            return starts.poll() is not None

        wait_until(is_over)
        assert starts.stdout.read().strip() == str(-signal.SIGKILL)
        assert kept.poll() is None
        kept.kill()


def test_threads_that_end_meanwhile_hide_no_others(tmp_path, monkeypatch):
    for thread in ("1", "2", "3"):
        (tmp_path / "7" / "task" / thread).mkdir(parents=True)
    (tmp_path / "7" / "task" / "2" / "children").write_text("8 9 ")
    monkeypatch.setattr(descendants, "_PROC", tmp_path)
    assert list(descendants._descendants(7)) == [8, 9]

"""A process of `distill serve` whose predictor is the tests' own."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@contextlib.contextmanager
def server(*flags, artifact="fake.onnx"):
    """Gives a process of `distill serve` that is ready, and its port."""
    process = subprocess.Popen(
        [
            sys.executable,
            str(HERE / "fake_server.py"),
            f"--artifact={artifact}",
            "--port=0",
            *flags,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{HERE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        start, _, place = line.strip().partition(" at http://127.0.0.1:")
        assert start == f"serving {artifact}", line + process.stderr.read()
        port, _, _ = place.partition("/")
        yield process, int(port)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()

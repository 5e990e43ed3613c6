"""Several processes on one port: answers, metrics, failures and the stop."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
from fake_predictor import PREDICT, WIDTH
from mean_model import predict_mean, write_mean_model
from server_process import ROOT, server
from test_monitoring import read_metrics

from tests.hang_guard import HANG_SECONDS, wait_until


def ask(port, value):
    """Returns the best probability of a video of one value."""
    frames = [[value] * WIDTH]
    body = json.dumps({"instances": [{"frames": frames}]}).encode()
    place = f"http://127.0.0.1:{port}{PREDICT}"
    with urllib.request.urlopen(place, body, timeout=HANG_SECONDS) as answer:
        (row,) = json.load(answer)["predictions"]
    return row["probabilities"][0]


def count_requests(port):
    """Returns the answered predict requests, as /metrics counts them."""
    place = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(place, timeout=HANG_SECONDS) as answer:
        found = read_metrics(answer.read().decode())
    return found["distill_requests_total", PREDICT, "200"]


def workers_of(process):
    """Returns the process ids of a service's workers."""
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pids = [int(pid) for pid in tasks.read_text().split()]
    return {pid for pid in pids if b"spawn_main" in command_of(pid)}


def command_of(pid):
    """Returns a process's command line; nothing once it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_workers_share_a_port_and_a_dead_one_is_replaced(tmp_path):
    path = tmp_path / "model.onnx"
    write_mean_model(path)
    with server("--workers=2", artifact=path) as (process, port):
        first = workers_of(process)
        assert len(first) == 2
        for value in range(30):
            expected = predict_mean(value).max()
            np.testing.assert_allclose(ask(port, value), expected, 1e-5)
        # Whichever worker answers counts the requests of both. The other one
        # may count a request after it has answered it.
        wait_until(lambda: count_requests(port) >= 30)
        assert count_requests(port) == 30
        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(workers_of(process) - {killed}) == 2)
        assert ask(port, 3)
        wait_until(lambda: count_requests(port) >= 31)
        assert count_requests(port) == 31
        process.terminate()
        output, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0
    assert output == ""
    warning = f"WARNING: Worker {killed} ended with status -9; another one st"
    assert errors.startswith(warning)
    assert len(errors.splitlines()) == 1


def test_workers_end_with_their_supervisor(tmp_path):
    path = tmp_path / "model.onnx"
    write_mean_model(path)
    with server("--workers=2", artifact=path) as (process, _):
        pids = workers_of(process)
        process.kill()
        wait_until(lambda: not any(Path(f"/proc/{p}").exists() for p in pids))


def test_what_workers_cannot_load_is_an_error_of_one_line(tmp_path):
    path = tmp_path / "model.onnx"
    write_mean_model(path)
    path.write_bytes(path.read_bytes()[:99])
    flags = (f"--artifact={path}", "--workers=3", "--port=0")
    done = subprocess.run(
        [sys.executable, "-m", "distill", "serve", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ERROR: {path} cannot be loaded: ")

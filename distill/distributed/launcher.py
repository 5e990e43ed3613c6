"""Several workers of one command on this machine."""

import contextlib
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

from distill.system.signals import signals_handled_by


def launch_workers(
    num_workers: int, command: Sequence[str], patience_seconds: float = 60.0
) -> int:
    """Runs a module as several workers.

    Each line of their output is printed behind the worker's rank. Ctrl-C,
    SIGTERM and SIGHUP go to all of them.

    Args:
      num_workers: Number of processes.
      command: The module's name and its flags.
      patience_seconds: Time that the others have once one has failed.

    Returns:
      The first exit status that is not 0, or 0.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(num_workers)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-u", "-m", *command],
            env=os.environ | {"TF_CONFIG": worker_config(addresses, rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            # Else the terminal would send them its signals a second time.
            start_new_session=True,
        )
        for rank in range(num_workers)
    ]

    def forward(number, frame):
        for process in processes:
            process.send_signal(number)

    with signals_handled_by(forward):
        printers = [
            threading.Thread(target=_print_lines, args=(rank, process.stdout))
            for rank, process in enumerate(processes)
        ]
        for printer in printers:
            printer.start()
        statuses = _wait(processes, patience_seconds)
        for printer in printers:
            printer.join()
    failed = [status for status in statuses if status]
    # The status of a process that a signal ended is minus its number.
    return (failed[0] if failed[0] > 0 else 128 - failed[0]) if failed else 0


def _wait(
    processes: list[subprocess.Popen], patience_seconds: float
) -> list[int | None]:
    """Waits for all; some time after one has failed, ends the others."""
    end = None
    while None in (statuses := [process.poll() for process in processes]):
        if end is None and any(statuses):
            end = time.monotonic() + patience_seconds
        if end is not None and time.monotonic() > end:
            # Once: a second signal would interrupt their saving.
            end = math.inf
            for process in processes:
                process.terminate()
        time.sleep(0.1)
    return statuses


def worker_config(addresses: Sequence[str], rank: int) -> str:
    """Returns TF_CONFIG of the worker of a rank."""
    return json.dumps(
        {
            "cluster": {"worker": list(addresses)},
            "task": {"type": "worker", "index": rank},
        }
    )


def free_ports(count: int) -> list[int]:
    """Returns ports of this machine that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _print_lines(rank: int, lines: IO[str]) -> None:
    with lines:
        for line in lines:
            print(f"[{rank}] {line}", end="", flush=True)

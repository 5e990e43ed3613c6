"""Several workers of one command on this machine."""

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO


def launch_workers(
    num_workers: int, command: Sequence[str], patience_seconds: float = 60.0
) -> int:
    """Runs a module in several processes that know of one another.

    Their output comes line by line, behind each worker's number. Ctrl-C and
    SIGTERM go to all of them.

    Args:
      num_workers: How many.
      command: The module's name and its flags.
      patience_seconds: How long the others may go on once one has failed.

    Returns:
      The first status that is not 0, or 0.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(num_workers)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-u", "-m", *command],
            env=os.environ | {"TF_CONFIG": worker_config(addresses, index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            # Signals come from here alone, not from the terminal as well.
            start_new_session=True,
        )
        for index in range(num_workers)
    ]
    with _forward_signals(processes):
        printers = [
            threading.Thread(target=_print_lines, args=(index, process.stdout))
            for index, process in enumerate(processes)
        ]
        for printer in printers:
            printer.start()
        statuses = _wait(processes, patience_seconds)
        for printer in printers:
            printer.join()
    failed = [status for status in statuses if status]
    # A process that a signal ended has minus its number.
    return (failed[0] if failed[0] > 0 else 128 - failed[0]) if failed else 0


def _wait(
    processes: list[subprocess.Popen], patience_seconds: float
) -> list[int]:
    """Waits for all; ends those that go on long after one has failed."""
    end = None
    while None in (statuses := [process.poll() for process in processes]):
        if end is None and any(statuses):
            end = time.monotonic() + patience_seconds
        if end is not None and time.monotonic() > end:
            # Once: a second signal would keep them from saving.
            end = math.inf
            for process in processes:
                process.terminate()
        time.sleep(0.1)
    return statuses


def worker_config(addresses: Sequence[str], index: int) -> str:
    """Returns TF_CONFIG of one of the workers at these addresses."""
    return json.dumps(
        {
            "cluster": {"worker": list(addresses)},
            "task": {"type": "worker", "index": index},
        }
    )


def free_ports(count: int) -> list[int]:
    """Returns ports of this machine that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _forward_signals(processes: list[subprocess.Popen]) -> Iterator[None]:
    def forward(number, frame):
        for process in processes:
            process.send_signal(number)

    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {kind: signal.signal(kind, forward) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)


def _print_lines(index: int, lines: IO[str]) -> None:
    with lines:
        for line in lines:
            print(f"[{index}] {line}", end="", flush=True)

"""The rendezvous of workers: all are released, or none."""

import contextlib
import socket
import threading
import time
import types

import pytest

from distill.distributed import rendezvous as module
from distill.distributed.launcher import free_ports
from distill.distributed.rendezvous import RendezvousError, rendezvous
from tests.hang_guard import HANG_SECONDS, wait_until


def make_addresses(count):
    return [f"127.0.0.1:{port}" for port in free_ports(count)]


def start(
    addresses, rank, left, delay=0.0, most_seconds=HANG_SECONDS, came=None
):
    """Starts a worker; notes who had come at its release, or why it failed."""
    came = [] if came is None else came

    def run():
        time.sleep(delay)
        came.append(rank)
        try:
            rendezvous(addresses, rank, most_seconds)
            left[rank] = sorted(came)
        except RendezvousError as error:
            left[rank] = str(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_no_worker_is_released_before_the_last_has_come(order):
    addresses, left, came = make_addresses(3), {}, []
    threads = [
        start(addresses, rank, left, 0.3 * place, came=came)
        for place, rank in enumerate(order)
    ]
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert left == {rank: [0, 1, 2] for rank in order}


def test_one_worker_waits_for_nobody_and_leaves_its_port():
    addresses = make_addresses(1)
    # Waiting at all would be an error.
    rendezvous(addresses, 0, most_seconds=0.0)
    # TensorFlow listens there next.
    port = int(addresses[0].split(":")[1])
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_missing_workers_are_named(monkeypatch):
    """The clock stands still until the chief knows of the other worker."""
    now, came = [0.0], threading.Event()
    receive_rank = module._receive_rank

    def receive_and_tell(*arguments):
        received = receive_rank(*arguments)
        if received is not None:
            came.set()
        return received

    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "_receive_rank", receive_and_tell)
    addresses, left = make_addresses(3), {}
    chief = start(addresses, 0, left, most_seconds=1.0)
    worker = start(addresses, 1, left, most_seconds=3.0)
    assert came.wait(HANG_SECONDS)
    for thread, seconds in ((chief, 1.0), (worker, 3.0)):
        now[0] = seconds
        thread.join(HANG_SECONDS)
    assert left[0] == (
        f"worker 0 of 3: the workers of {addresses[2]} did not come within 1 "
        "seconds (TF_CONFIG)."
    )
    assert left[1].startswith("worker 1 of 3: the ")
    assert addresses[0] in left[1]


def connect(address):
    """Connects to the chief as soon as it listens."""
    host, port = address.split(":")

    def try_it():
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((host, int(port)))

    return wait_until(try_it)


def test_a_stranger_is_not_counted():
    addresses, left = make_addresses(2), {}
    chief = start(addresses, 0, left)
    for words in (b"7", b"GET /"):
        with connect(addresses[0]) as stranger:
            stranger.sendall(words)
    time.sleep(0.3)
    assert not left
    with connect(addresses[0]) as worker:
        worker.sendall(b"1")
        chief.join(HANG_SECONDS)
    assert list(left) == [0]


def test_a_worker_that_is_too_slow_comes_again(monkeypatch):
    """The chief closes the connection of what does not say its rank."""
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    addresses, left = make_addresses(2), {}
    chief = start(addresses, 0, left)
    with connect(addresses[0]) as silent:
        silent.settimeout(HANG_SECONDS)
        assert silent.recv(1) == b""
    worker = start(addresses, 1, left)
    for thread in (chief, worker):
        thread.join(HANG_SECONDS)
    assert sorted(left) == [0, 1]


def test_a_worker_that_went_away_is_waited_for(monkeypatch, capsys):
    monkeypatch.setattr(module, "_QUIET_SECONDS", 0.0)
    addresses, left = make_addresses(3), {}
    chief = start(addresses, 0, left)
    with connect(addresses[0]) as gone:
        gone.sendall(b"1")
    second = start(addresses, 2, left)
    time.sleep(0.6)
    assert not left
    first = start(addresses, 1, left)
    for thread in (chief, first, second):
        thread.join(HANG_SECONDS)
    assert sorted(left) == [0, 1, 2]
    said = capsys.readouterr().out
    assert "worker 0 of 3 waits for the workers of 127.0.0.1:" in said


def test_a_port_in_use_is_named():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        message = f"cannot listen on its port {port} .*in use"
        with pytest.raises(RendezvousError, match=message):
            rendezvous([f"127.0.0.1:{port}", "127.0.0.1:1"], 0, 1.0)


@pytest.mark.parametrize("address", ["host", "host:", ":1", "a:b", "a:99999"])
def test_an_address_that_is_not_host_and_port_is_refused(address):
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        rendezvous(["a:1", address], 1, 1.0)

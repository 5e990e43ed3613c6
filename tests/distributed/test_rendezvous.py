"""The rendezvous of workers: all are released, or none."""

import socket
import threading
import time

import pytest

from distill.distributed import rendezvous as module
from distill.distributed.launcher import free_ports
from distill.distributed.rendezvous import RendezvousError, rendezvous


def make_addresses(count):
    return [f"127.0.0.1:{port}" for port in free_ports(count)]


def start(addresses, rank, left, delay=0.0, most_seconds=20.0):
    """Starts a worker; notes when it was released, or why not."""

    def run():
        time.sleep(delay)
        try:
            rendezvous(addresses, rank, most_seconds)
            left[rank] = time.monotonic()
        except RendezvousError as error:
            left[rank] = str(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_no_worker_is_released_before_the_last_has_come(order):
    addresses, left = make_addresses(3), {}
    begin = time.monotonic()
    threads = [
        start(addresses, rank, left, 0.3 * place)
        for place, rank in enumerate(order)
    ]
    for thread in threads:
        thread.join(20)
    assert sorted(left) == [0, 1, 2]
    assert min(left.values()) - begin > 0.6


def test_one_worker_waits_for_nobody_and_leaves_its_port():
    addresses = make_addresses(1)
    begin = time.monotonic()
    rendezvous(addresses, 0, 20.0)
    assert time.monotonic() - begin < 10
    # TensorFlow listens there next.
    port = int(addresses[0].split(":")[1])
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_missing_workers_are_named():
    addresses, left = make_addresses(3), {}
    seconds = (1.0, 3.0)
    threads = [
        start(addresses, rank, left, most_seconds=most)
        for rank, most in enumerate(seconds)
    ]
    for thread in threads:
        thread.join(20)
    assert left[0] == (
        f"worker 0 of 3: the workers of {addresses[2]} did not come within 1 "
        "seconds (TF_CONFIG)."
    )
    assert left[1].startswith("worker 1 of 3: the ")
    assert addresses[0] in left[1]


def connect(address):
    """Connects to the chief as soon as it listens."""
    host, port = address.split(":")
    end = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection((host, int(port)))
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.01)


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
        chief.join(20)
    assert list(left) == [0]


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
        thread.join(20)
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

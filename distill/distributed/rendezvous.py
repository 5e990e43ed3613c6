"""The rendezvous of workers, which takes place before TensorFlow's own.

TensorFlow's waiting has no time limit, cannot be ended by a signal, and
prints nothing.
"""

import contextlib
import select
import socket
import time
from collections.abc import Sequence

_QUIET_SECONDS = 20.0
_RETRY_SECONDS = 0.2


class RendezvousError(OSError):
    """Not all workers came to the rendezvous."""


def rendezvous(
    addresses: Sequence[str], rank: int, most_seconds: float = 600.0
) -> None:
    """Returns on every worker once all workers have come.

    All connect to the chief, which releases them once each is connected. It
    also waits for a worker that disconnects and comes again.

    Args:
      addresses: `HOST:PORT` of each, the chief's first; its port is free.
      rank: Number of this worker.
      most_seconds: Time limit of the waiting.

    Raises:
      RendezvousError: Not all workers came in time.
      ValueError: An address is not `HOST:PORT`.
    """
    places = [_parse(address) for address in addresses]
    clock = _Clock(f"worker {rank} of {len(addresses)}", most_seconds)
    if rank == 0:
        _gather(places[0][1], addresses, clock)
    else:
        _report(places[0], addresses[0], rank, clock)


def _parse(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            f"TF_CONFIG: the address {address!r} is not HOST:PORT."
        )
    return host.strip("[]"), int(port)


class _Clock:
    """Prints once who is missing, and ends the waiting at its time limit."""

    def __init__(self, name: str, most_seconds: float):
        self._name = name
        self._most_seconds = most_seconds
        self._start = time.monotonic()
        self._has_printed = False

    def tick(self, missing: str) -> None:
        waited = time.monotonic() - self._start
        if waited >= self._most_seconds:
            raise RendezvousError(
                f"{self._name}: {missing} did not come within "
                f"{self._most_seconds:.0f} seconds (TF_CONFIG)."
            )
        if waited >= _QUIET_SECONDS and not self._has_printed:
            self._has_printed = True
            print(f"{self._name} waits for {missing}", flush=True)


def _gather(port: int, addresses: Sequence[str], clock: _Clock) -> None:
    """Waits, as the chief, until every other worker is connected."""
    connected: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_listen(port))
        while len(connected) < len(addresses) - 1:
            waiting = [server, *connected.values()]
            readable, _, _ = select.select(waiting, [], [], _RETRY_SECONDS)
            # A worker sends its rank alone: more to read means it is gone.
            for rank, connection in list(connected.items()):
                if connection in readable:
                    del connected[rank]
            if server in readable:
                connection, _ = server.accept()
                stack.enter_context(connection)
                connection.settimeout(_RETRY_SECONDS * 10)
                received = _receive_rank(connection, len(addresses))
                if received is None:
                    # A worker that was too slow comes again.
                    connection.close()
                else:
                    connected[received] = connection
            missing = [
                address
                for rank, address in enumerate(addresses)
                if rank and rank not in connected
            ]
            clock.tick(f"the workers of {', '.join(missing)}")
        for connection in connected.values():
            with contextlib.suppress(OSError):
                connection.sendall(b"go")


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("", port), reuse_port=True)
    except OSError as error:
        raise RendezvousError(
            f"The chief cannot listen on its port {port} (TF_CONFIG): "
            f"{error.strerror}."
        ) from error


def _receive_rank(connection: socket.socket, num_workers: int) -> int | None:
    try:
        text = connection.recv(16).decode(errors="replace")
    except OSError:
        return None
    is_rank = text.isdecimal() and 0 < int(text) < num_workers
    return int(text) if is_rank else None


def _report(
    place: tuple[str, int], address: str, rank: int, clock: _Clock
) -> None:
    """Connects to the chief until it releases this worker."""
    while True:
        try:
            with socket.create_connection(place, timeout=5) as connection:
                connection.sendall(str(rank).encode())
                connection.settimeout(_RETRY_SECONDS)
                if _is_released(connection, address, clock):
                    return
        except RendezvousError:
            raise
        except OSError:
            pass  # the chief is not there yet, or has gone
        clock.tick(f"the chief, {address}")
        time.sleep(_RETRY_SECONDS)


def _is_released(
    connection: socket.socket, address: str, clock: _Clock
) -> bool:
    """Waits for the chief; returns False if it disconnects."""
    while True:
        try:
            return connection.recv(2) == b"go"
        except TimeoutError:
            clock.tick(f"the others whom the chief, {address}, waits for")

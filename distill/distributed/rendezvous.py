"""Workers that wait for one another before TensorFlow does.

TensorFlow's own waiting can be neither limited nor ended by a signal, and says
nothing meanwhile.
"""

import contextlib
import select
import socket
import time
from collections.abc import Sequence

_PATIENT_SECONDS = 20.0
_RETRY_SECONDS = 0.2
_ADDRESS_FORM = "HOST:PORT"


class MeetingError(OSError):
    """Not all workers came."""


def meet(
    addresses: Sequence[str], index: int, most_seconds: float = 600.0
) -> None:
    """Returns when all workers are there, on all of them.

    All connect to the chief, which lets them go once it has heard of each. One
    that goes away before and comes again is waited for.

    Args:
      addresses: `HOST:PORT` of each, the chief's first; its port is free.
      index: Number of this worker.
      most_seconds: How long to wait.

    Raises:
      MeetingError: Not all came in time.
      ValueError: An address is of another form.
    """
    places = [_parse(address) for address in addresses]
    clock = _Clock(f"worker {index} of {len(addresses)}", most_seconds)
    if index == 0:
        _gather(places, addresses, clock)
    else:
        _report(places[0], addresses[0], index, clock)


def _parse(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            f"TF_CONFIG: the address {address!r} is not {_ADDRESS_FORM}."
        )
    return host.strip("[]"), int(port)


class _Clock:
    """Says what is waited for, and ends the waiting."""

    def __init__(self, name: str, most_seconds: float):
        self._name = name
        self._most_seconds = most_seconds
        self._start = time.monotonic()
        self._said = False

    def tick(self, missing: str) -> None:
        waited = time.monotonic() - self._start
        if waited >= self._most_seconds:
            raise MeetingError(
                f"{self._name}: {missing} did not come within "
                f"{self._most_seconds:.0f} seconds (TF_CONFIG)."
            )
        if waited >= _PATIENT_SECONDS and not self._said:
            self._said = True
            print(f"{self._name} waits for {missing}", flush=True)


def _gather(places, addresses, clock) -> None:
    """Waits, as the chief, until every other worker is connected."""
    connected: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_listen(places[0]))
        while len(connected) < len(places) - 1:
            waiting = [server, *connected.values()]
            readable, _, _ = select.select(waiting, [], [], _RETRY_SECONDS)
            for index, connection in list(connected.items()):
                if connection in readable:  # closed: it says no more
                    del connected[index]
            if server in readable:
                connection, _ = server.accept()
                stack.enter_context(connection)
                connection.settimeout(_RETRY_SECONDS * 10)
                index = _receive_index(connection, len(places))
                if index is not None:
                    connected[index] = connection
            missing = [
                addresses[i]
                for i in range(1, len(places))
                if i not in connected
            ]
            clock.tick(f"the workers of {', '.join(missing)}")
        for connection in connected.values():
            with contextlib.suppress(OSError):
                connection.sendall(b"go")


def _listen(place) -> socket.socket:
    _, port = place
    try:
        return socket.create_server(("", port), reuse_port=True)
    except OSError as error:
        raise MeetingError(
            f"The chief cannot listen on its port {port} (TF_CONFIG): "
            f"{error.strerror}."
        ) from error


def _receive_index(connection, count) -> int | None:
    try:
        text = connection.recv(16).decode(errors="replace")
    except OSError:
        return None
    is_index = text.isdecimal() and 0 < int(text) < count
    return int(text) if is_index else None


def _report(place, address, index, clock) -> None:
    """Tells the chief of this worker until it lets it go."""
    while True:
        with contextlib.suppress(OSError):
            with socket.create_connection(place, timeout=5) as connection:
                connection.sendall(str(index).encode())
                connection.settimeout(_RETRY_SECONDS)
                if _wait_for_go(connection, address, clock):
                    return
        clock.tick(f"the chief, {address}")
        time.sleep(_RETRY_SECONDS)


def _wait_for_go(connection, address, clock) -> bool:
    """Returns whether the chief let go; False if it is gone."""
    while True:
        try:
            return connection.recv(2) == b"go"
        except TimeoutError:
            clock.tick(f"the others whom the chief, {address}, waits for")

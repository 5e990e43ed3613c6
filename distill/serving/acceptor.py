"""Accepts connections as long as there is room for them."""

import asyncio
import functools
import logging
import socket
from collections.abc import Callable

from distill.serving.connections import Connections

# Connections that the system holds until they are accepted.
_BACKLOG = 4096
# Of these it accepts so many before it reads from others.
_ACCEPTED_AT_ONCE = 16
_FULL_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_LOG = logging.getLogger("distill.serving")


class Acceptor:
    """Accepts the connections of a listening socket.

    asyncio's own server accepts whatever comes, and where the process has no
    descriptor left it logs that thousands of times a second. This one leaves
    the connections for which there is no room to the system, in their order.

    Args:
      listener: A bound socket, which workers may share.
      connections: Says whether there is room.
      make_protocol: Makes the protocol of a connection.
    """

    def __init__(
        self,
        listener: socket.socket,
        connections: Connections,
        make_protocol: Callable[[], asyncio.Protocol],
    ):
        self._listener = listener
        self._connections = connections
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task] = set()
        self._is_closed = False
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._resume()

    def close(self) -> None:
        """Stops accepting."""
        self._is_closed = True
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Waits for connections that are being accepted."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _resume(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listener, self._accept)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, self._resume)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._connections.make_room(len(self._tasks)):
                self._pause(_FULL_SECONDS)
                return
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                # No other one waits, or another worker has taken it.
                return
            except OSError as error:
                _LOG.warning("No connection is accepted: %s.", error.strerror)
                self._pause(_RETRY_SECONDS)
                return
            accepted.setblocking(False)
            task = self._loop.create_task(
                self._loop.connect_accepted_socket(
                    self._make_protocol, accepted
                )
            )
            self._tasks.add(task)
            task.add_done_callback(functools.partial(self._end, accepted))

    def _end(self, accepted: socket.socket, task: asyncio.Task) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            accepted.close()

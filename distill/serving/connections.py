"""The open connections, within limits of number, time and memory.

A client that does not send or read holds a connection, and its descriptor, for
nothing. Uvicorn bounds the time between two requests alone.
"""

import asyncio
import enum
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from distill.system.open_files import free_descriptors

IDLE_SECONDS = 75
_DEFAULT_CONNECTIONS = 1000
# Connections that are being closed, and files of a new model.
_SPARE_DESCRIPTORS = 80
_FEWEST_CONNECTIONS = 16
# A client that sends or reads so much is not stalled.
PROGRESS_BYTES = 64 * 1024
_STALLED_SECONDS = 2.0
# The request of a new connection arrives and is read meanwhile.
_YOUNG_SECONDS = 0.25
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\n\r\n"
    b'{"error":"The head of the request is too slow."}'
)


def most_connections(asked: int | None, num_files: int = 0) -> int:
    """Returns how many connections a process may have.

    Args:
      asked: The number that the user wants; None for 1000, or fewer where the
        limit on open files is low.
      num_files: Files that the process may have open beside them.

    Raises:
      ValueError: The limit on open files leaves too little room.
    """
    room = free_descriptors() - _SPARE_DESCRIPTORS - num_files
    if room < _FEWEST_CONNECTIONS:
        raise ValueError(
            "The limit on open files (`ulimit -n`) leaves room for "
            f"{max(room, 0)} connections; {_FEWEST_CONNECTIONS} are needed."
        )
    if asked is not None and asked > room:
        raise ValueError(
            f"max_connections must be {room} or less, got {asked}: the limit "
            "on open files (`ulimit -n`) leaves no room for more."
        )
    return asked or min(room, _DEFAULT_CONNECTIONS)


class Phase(enum.Enum):
    """What the server waits for."""

    IDLE = "a request"
    HEAD = "the rest of a request's head"
    BODY = "the rest of a request's body"
    UNUSED_BODY = "the rest of the body of a request that has been answered"
    READING = "the client to read an answer"


class Connections:
    """The connections of a process.

    A connection is busy while the server works for it. Else the server waits
    for its client, since the client last made progress. For a connection more
    than there may be, the one that waits longest is closed, if it has had the
    time to send anything. Else the new one has to wait.

    Attributes:
      is_full: Whether a new connection has to wait.
    """

    def __init__(
        self,
        most: int,
        timeout: float,
        note_number: Callable[[int], None] = lambda number: None,
        note_closed: Callable[[str], None] = lambda reason: None,
    ):
        """Makes the limits.

        Args:
          most: Connections.
          timeout: Seconds for a request's head, and for `PROGRESS_BYTES` of a
            body or an answer.
          note_number: Told the number of connections when it changes.
          note_closed: Told the reason, `timeout`, `limit` or `memory`, when a
            connection is closed.
        """
        self.is_full = False
        self._most = most
        self._timeout = timeout
        self._note_number = note_number
        self._note_closed = note_closed
        # By the time since when the server waits, the longest first.
        self._waiting: dict[ClientConnection, None] = {}
        self._busy: set[ClientConnection] = set()

    def start(self) -> None:
        """Begins to close the connections of slow clients."""
        loop = asyncio.get_running_loop()

        def sweep() -> None:
            self._sweep(loop.time())
            loop.call_later(min(1.0, self._timeout / 4), sweep)

        sweep()

    def make_room(self, num_opening: int) -> bool:
        """Returns whether there is room for a connection; may close another.

        Args:
          num_opening: Connections that are accepted but not here yet.
        """
        self.is_full = False
        if self._number + num_opening < self._most:
            return True
        longest = next(iter(self._waiting), None)
        late = asyncio.get_running_loop().time() - _YOUNG_SECONDS
        self.is_full = longest is None or longest.since > late
        if longest is not None and not self.is_full:
            self._close(longest, "limit")
        return not self.is_full

    def place(self, connection: "ClientConnection") -> None:
        """Puts a connection behind the others, by its phase."""
        self._remove(connection)
        if connection.phase is None:
            self._busy.add(connection)
        else:
            self._waiting[connection] = None
        self._note_number(self._number)

    def leave(self, connection: "ClientConnection") -> None:
        """Forgets a connection that is closed."""
        self._remove(connection)
        self._note_number(self._number)

    @property
    def _number(self) -> int:
        return len(self._waiting) + len(self._busy)

    def unread_bytes(self, most: int) -> int:
        """Returns the bytes of answers that clients have yet to read.

        Args:
          most: Beyond it, the connections of clients that have stalled are
            closed, the longest first.
        """
        reading = {
            connection: connection.transport.get_write_buffer_size()
            for connection in self._waiting
            if connection.phase is Phase.READING
        }
        total = sum(reading.values())
        late = asyncio.get_running_loop().time() - _STALLED_SECONDS
        for connection, size in reading.items():
            if total <= most or connection.since > late:
                break
            self._close(connection, "memory")
            total -= size
        return total

    def _sweep(self, now: float) -> None:
        """Closes the connections whose clients are too slow."""
        for connection in list(self._waiting):
            if connection.phase is Phase.READING:
                connection.note()
            # Bodies that are read have the limits of `BodyReader`.
            if connection.phase in (None, Phase.BODY):
                continue
            is_idle = connection.phase is Phase.IDLE
            limit = IDLE_SECONDS if is_idle else self._timeout
            if now - connection.since > limit:
                if connection.phase is Phase.HEAD:
                    connection.transport.write(_TOO_SLOW)
                self._close(connection, "timeout")

    def _close(self, connection: "ClientConnection", reason: str) -> None:
        self._remove(connection)
        self._note_closed(reason)
        # To close would wait until the client has read everything.
        connection.transport.abort()

    def _remove(self, connection: "ClientConnection") -> None:
        self._waiting.pop(connection, None)
        self._busy.discard(connection)


class ClientConnection(H11Protocol):
    """A connection that notes what the server waits for, and since when.

    Attributes:
      phase: What the server waits for; None while it works.
      since: The event loop's time of the client's last progress.
    """

    def __init__(self, connections: Connections, **arguments: Any):
        super().__init__(**arguments)
        self._connections = connections
        self._is_open = False
        self._moved = 0
        self._unread = 0
        self.phase: Phase | None = Phase.IDLE
        self.since = 0.0

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Begins to wait for a request."""
        super().connection_made(transport)
        self._is_open = True
        self.since = self.loop.time()
        self._connections.place(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._is_open = False
        self._connections.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads what the client sends."""
        super().data_received(data)
        self.note(len(data))

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        if self._connections.is_full and self.conn.trailing_data[0]:
            # Other clients wait; this one has sent requests ahead.
            self.transport.close()
        super().on_response_complete()
        self.note()

    def pause_writing(self) -> None:
        """Waits for the client to read."""
        super().pause_writing()
        self.note()

    def resume_writing(self) -> None:
        """Goes on to write."""
        super().resume_writing()
        self.note()

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP, or just closes where an answer began.

        Uvicorn would raise an error there.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:
            # The application has no one to answer any longer.
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def note(self, received: int = 0) -> None:
        """Notes a change of the phase, or progress in it."""
        if not self._is_open:
            return
        phase = self._find_phase(received)
        unread = self.transport.get_write_buffer_size()
        self._moved += received + max(self._unread - unread, 0)
        self._unread = unread
        moves = phase not in (Phase.IDLE, Phase.HEAD)
        if phase is self.phase and not (
            moves and self._moved >= PROGRESS_BYTES
        ):
            return
        self.phase, self._moved = phase, 0
        self.since = self.loop.time()
        self._connections.place(self)

    def _find_phase(self, received: int) -> Phase | None:
        is_answered = self.cycle is None or self.cycle.response_complete
        is_unread = self.transport.get_write_buffer_size() > 0
        if self.transport.is_closing() or (
            is_unread and (is_answered or self.flow.write_paused)
        ):
            return Phase.READING
        if not is_answered:
            return Phase.BODY if self.cycle.more_body else None
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.UNUSED_BODY
        if self.phase is Phase.HEAD or (received and self.phase is Phase.IDLE):
            return Phase.HEAD
        return Phase.IDLE

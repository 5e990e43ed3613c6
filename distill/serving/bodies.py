"""Bodies of requests, read within limits of size, time and memory."""

import asyncio
import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
)
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from distill.serving.connections import PROGRESS_BYTES

Parsed = TypeVar("Parsed")

CLOSE = {"Connection": "close"}
BODIES_HELD = 16
_READ_SECONDS = 60.0
# A body that is given up where others need its memory has stalled so long.
_STALLED_SECONDS = 1.0
_LINGER_BYTES = 2**20
_LINGER_SECONDS = 1.0


class _Body:
    """A body that is being read; `since` is the time of its last progress."""

    def __init__(self, start: float):
        self.num_bytes = 0
        self.since = start
        self.limit = asyncio.timeout_at(None)
        self.is_given_up = False
        self._noted = 0

    def add(self, chunk: bytes, now: float) -> None:
        self.num_bytes += len(chunk)
        if self.num_bytes >= self._noted + PROGRESS_BYTES:
            self._noted, self.since = self.num_bytes, now


class BodyReader:
    """Reads bodies within a limit; all that are held may have 16 times it.

    A body that makes no progress for a time-out is refused, and earlier where
    others need the room.

    Args:
      max_body_bytes: Most bytes of a body.
      timeout: Seconds for each `PROGRESS_BYTES`.
      seconds: Seconds for a whole body; None for 60.
      max_bodies: Most bodies that are held; None for any number.
    """

    def __init__(
        self,
        max_body_bytes: int,
        timeout: float,
        *,
        seconds: float | None = None,
        max_bodies: int | None = None,
    ):
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout
        self._seconds = _READ_SECONDS if seconds is None else seconds
        self._max_bodies = max_bodies
        # Bodies up to this size are always read.
        self._small = min(PROGRESS_BYTES, max_body_bytes // BODIES_HELD)
        self._held_bytes = 0
        self._held: set[_Body] = set()
        self._reading: set[_Body] = set()

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytearray]:
        """Yields a request's body, which counts as held until the exit.

        Raises:
          HTTPException: As `parse` does.
        """
        async with self.parse(request, _collect) as content:
            yield content

    @contextlib.asynccontextmanager
    async def parse(
        self,
        request: Request,
        parse: Callable[[AsyncGenerator[bytes]], Awaitable[Parsed]],
    ) -> AsyncIterator[Parsed]:
        """Yields what a function makes of a request's body as it comes in.

        The body counts as held until the exit.

        Raises:
          HTTPException: The body is too long, too slow, encoded or cut off, or
            too many others are held. The rest of the body has not been read.
        """
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise HTTPException(
                415,
                f"Content-Encoding {encoding[:50]!r} is not supported.",
                CLOSE,
            )
        # Uvicorn answers 400 to a length that is not a number.
        if int(request.headers.get("content-length", 0)) > self._max_body_bytes:
            raise self._too_long()
        body = _Body(asyncio.get_running_loop().time())
        self._held.add(body)
        self._reading.add(body)
        try:
            self._make_room(self._are_many, body)
            async with body.limit:
                parsed = await parse(self._receive(body, request))
            self._reading.remove(body)
            yield parsed
        except TimeoutError as error:
            if body.is_given_up:
                raise _no_room() from error
            raise HTTPException(408, self._slowness(body), CLOSE) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "The body was cut off.", CLOSE) from error
        finally:
            self._reading.discard(body)
            self._held.discard(body)
            self._held_bytes -= body.num_bytes

    async def _receive(
        self, body: _Body, request: Request
    ) -> AsyncGenerator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        body.limit.reschedule(min(end, body.since + self._timeout))
        async for chunk in request.stream():
            before = body.since
            body.add(chunk, loop.time())
            self._held_bytes += len(chunk)
            if body.since > before:
                body.limit.reschedule(min(end, body.since + self._timeout))
            if body.num_bytes > self._max_body_bytes:
                raise self._too_long()
            if body.num_bytes > self._small:
                self._make_room(self._are_large, body)
            yield chunk

    def _are_many(self) -> bool:
        return (
            self._max_bodies is not None and len(self._held) > self._max_bodies
        )

    def _are_large(self) -> bool:
        return self._held_bytes > BODIES_HELD * self._max_body_bytes

    def _make_room(self, is_over: Callable[[], bool], body: _Body) -> None:
        """Drops bodies that have stalled, the longest first.

        Raises:
          HTTPException: There is too little room for this one even so.
        """
        if not is_over():
            return
        now = asyncio.get_running_loop().time()
        for other in sorted(self._reading, key=lambda each: each.since):
            if not is_over() or other.since > now - _STALLED_SECONDS:
                break
            if other is body:
                raise _no_room()
            self._held_bytes -= other.num_bytes
            other.num_bytes = 0
            self._held.remove(other)
            self._reading.remove(other)
            other.is_given_up = True
            other.limit.reschedule(now)
        if is_over():
            raise _no_room()

    def _slowness(self, body: _Body) -> str:
        now = asyncio.get_running_loop().time()
        if now - body.since < self._timeout:
            return f"The body took over {self._seconds:.0f} seconds."
        return f"The body stalled for {self._timeout:g} seconds."

    def _too_long(self) -> HTTPException:
        return HTTPException(
            413,
            f"The body is longer than {self._max_body_bytes} bytes.",
            CLOSE,
        )


async def _collect(chunks: AsyncGenerator[bytes]) -> bytearray:
    content = bytearray()
    async for chunk in chunks:
        content += chunk
    return content


def _no_room() -> HTTPException:
    return HTTPException(
        503,
        "Too many requests are being read; try later.",
        CLOSE | {"Retry-After": "1"},
    )


class ClosingResponse(JSONResponse):
    """An answer to a request whose body has not been read to its end.

    The connection is closed afterwards. A client that is still sending would
    lose the answer if that happened at once, so up to a megabyte is read and
    discarded for a second.
    """

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Sends the answer, lingers and closes."""
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        body = {"type": "http.response.body", "body": self.body}
        await send(body | {"more_body": True})
        if b"expect" not in dict(scope["headers"]):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    await _discard(receive)
        await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    num_bytes = 0
    while num_bytes < _LINGER_BYTES:
        message = await receive()
        if not message.get("more_body"):
            return
        num_bytes += len(message.get("body", b""))

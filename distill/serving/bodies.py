"""Bodies of requests, read within limits of size, time and memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

CLOSE = {"Connection": "close"}
_BODIES_HELD = 16
_READ_SECONDS = 60.0
_LINGER_BYTES = 2**20
_LINGER_SECONDS = 1.0


class BodyReader:
    """Reads bodies within a limit; all that are held may have 16 times it."""

    def __init__(self, max_body_bytes: int):
        self._max_body_bytes = max_body_bytes
        self._held = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yields a request's body, which counts as held until the exit.

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
        chunks: list[bytes] = []
        held = 0
        try:
            async with asyncio.timeout(_READ_SECONDS):
                async for chunk in request.stream():
                    held += len(chunk)
                    self._held += len(chunk)
                    if held > self._max_body_bytes:
                        raise self._too_long()
                    if self._held > _BODIES_HELD * self._max_body_bytes:
                        raise HTTPException(
                            503,
                            "Too many requests are being read; try later.",
                            CLOSE | {"Retry-After": "1"},
                        )
                    chunks.append(chunk)
            yield b"".join(chunks)
        except TimeoutError as error:
            raise HTTPException(
                408, f"The body took over {_READ_SECONDS:.0f} seconds.", CLOSE
            ) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "The body was cut off.", CLOSE) from error
        finally:
            self._held -= held

    def _too_long(self) -> HTTPException:
        return HTTPException(
            413,
            f"The body is longer than {self._max_body_bytes} bytes.",
            CLOSE,
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

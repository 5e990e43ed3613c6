"""Video files in requests: forms or JSON, kept in files without a name."""

import asyncio
import contextlib
import dataclasses
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor
from typing import IO, Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from distill.serving.bodies import CLOSE, BodyReader
from distill.serving.predict_requests import (
    check_keys_are_single,
    check_object,
    decode_base64,
    kind_of,
    load_object,
)

MAX_UPLOADS = 64
_PARTS = ("video", "top_k")
_JSON = ("application/json", "application/x-www-form-urlencoded", "")
# Boundaries and heads of a form's parts.
_FORM_BYTES = 8192
_NUMBER_BYTES = 1024
_MEMORY_BYTES = 64 * 1024
_UPLOAD_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class VideoUpload:
    """A video file that a client has sent.

    Attributes:
      file: The video. It has no name in any directory, so it is gone with the
        process, however that ends.
      top_k: Classes of the answer; None for the service's number.
    """

    file: IO[bytes]
    top_k: int | None

    @property
    def path(self) -> str:
        """Where another process of this user finds the open file."""
        return f"/proc/{os.getpid()}/fd/{self.file.fileno()}"


class VideoUploads:
    """Reads requests with a video file.

    Args:
      bodies: Reads JSON, within its limits.
      parsers: Where JSON is parsed.
      max_video_bytes: Most bytes of a video.
      timeout: Seconds for each 64 KiB.
    """

    def __init__(
        self,
        bodies: BodyReader,
        parsers: Executor,
        max_video_bytes: int,
        timeout: float,
    ):
        self._bodies, self._parsers = bodies, parsers
        self._max_video_bytes = max_video_bytes
        self._forms = BodyReader(
            max_video_bytes + _FORM_BYTES,
            timeout,
            seconds=_UPLOAD_SECONDS,
            max_bodies=MAX_UPLOADS,
        )

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[VideoUpload]:
        """Yields a request's video; its file is closed in the end.

        Raises:
          HTTPException: The request is wrong, too long or too slow, or too
            many others are being read.
        """
        kind, _, _ = request.headers.get("content-type", "").partition(";")
        if kind.strip().lower() == "multipart/form-data":
            async with self._read_form(request) as upload:
                yield upload
        elif kind.strip().lower() in _JSON:
            async with self._bodies.read(request) as body:
                upload = await self._run(_write_video, body)
            with upload.file:
                self._check_size(upload.file)
                yield upload
        else:
            raise HTTPException(
                415,
                "A video is sent as multipart/form-data with a file 'video', "
                "or as JSON, {'video': {'b64': '...'}}; got Content-Type "
                f"{kind[:50]!r}.",
                CLOSE,
            )

    @contextlib.asynccontextmanager
    async def _read_form(self, request: Request) -> AsyncIterator[VideoUpload]:
        async def parse(chunks: AsyncGenerator[bytes]) -> FormData:
            parser = MultiPartParser(
                request.headers,
                chunks,
                max_files=1,
                max_fields=len(_PARTS),
                max_part_size=_NUMBER_BYTES,
            )
            parser.spool_max_size = _MEMORY_BYTES
            try:
                return await parser.parse()
            except MultiPartException as error:
                raise HTTPException(
                    400, f"The form cannot be read: {error.message}", CLOSE
                ) from error

        async with self._forms.parse(request, parse) as form:
            try:
                upload = _read_parts(form)
                await self._run(_settle, upload.file)
                self._check_size(upload.file)
                yield upload
            finally:
                await form.close()

    def _check_size(self, file: IO[bytes]) -> None:
        if os.fstat(file.fileno()).st_size > self._max_video_bytes:
            raise HTTPException(
                413, f"The video has more than {self._max_video_bytes} bytes."
            )

    async def _run(self, function: Any, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._parsers, function, *arguments
            )
        except ValueError as error:
            raise HTTPException(400, str(error)) from error


def _read_parts(form: FormData) -> VideoUpload:
    """Returns the upload of a form's parts."""
    for name in form:
        if name not in _PARTS:
            raise HTTPException(
                400,
                f"The form has an unknown part {name[:50]!r}; known: "
                f"{', '.join(_PARTS)}.",
            )
        if len(form.getlist(name)) > 1:
            raise HTTPException(400, f"The form has the part {name!r} twice.")
    video, top_k = form.get("video"), form.get("top_k")
    if not isinstance(video, UploadFile):
        raise HTTPException(
            400, "The form has no file 'video' (a part with a filename)."
        )
    if isinstance(top_k, UploadFile) or not (top_k or "1").isdecimal():
        raise HTTPException(400, "top_k must be a whole number.")
    return VideoUpload(video.file, _check_top_k(int(top_k) if top_k else None))


def _settle(file: Any) -> None:
    """Writes what is in memory of a file to the disk."""
    file.rollover()
    file.flush()


def _write_video(body: bytearray) -> VideoUpload:
    """Returns the upload of a JSON body."""
    request = load_object(body, _PARTS)
    if "video" not in request:
        raise ValueError("'video' is missing.")
    check_object(request["video"], "video", ("b64",))
    top_k = request.get("top_k")
    if type(top_k) not in (int, type(None)):
        raise ValueError(f"top_k must be a whole number, got {kind_of(top_k)}.")
    content = decode_base64(request["video"], "video")
    check_keys_are_single(request, body)
    top_k = _check_top_k(top_k)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        file.write(content)
        file.flush()
        stack.pop_all()
    return VideoUpload(file, top_k)


def _check_top_k(top_k: int | None) -> int | None:
    if top_k is not None and top_k < 1:
        raise HTTPException(400, f"top_k must be 1 or more, got {top_k}.")
    return top_k

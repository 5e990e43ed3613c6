"""From a request with a video file to the video that the model reads."""

import asyncio
import dataclasses
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request

from distill.extraction.video_queue import (
    AbandonedVideoError,
    UnreadableVideoError,
    VideoQueue,
)
from distill.serving.bodies import CLOSE, BodyReader
from distill.serving.metrics import ServiceMetrics
from distill.serving.served_model import ServedModel
from distill.serving.video_uploads import MAX_UPLOADS, VideoUploads
from distill.settings.service import ServiceOptions

if TYPE_CHECKING:
    from distill.extraction.video_features import ReadVideo

_FULL = "Too many videos are being decoded; try later."
_BUSY = {"Retry-After": "1"}


@dataclasses.dataclass(frozen=True)
class VideoRequest:
    """A request with a video file, of which the features have been extracted.

    Attributes:
      model: Reads the video.
      video: As the model's `check` returns it.
      read: What was read of the file.
      seconds: Time of decoding and extraction.
      top_k: Classes of the answer.
    """

    model: ServedModel
    video: np.ndarray
    read: "ReadVideo"
    seconds: float
    top_k: int


class VideoRequests:
    """Reads requests with video files, and extracts the features.

    Attributes:
      limits: Limits of the videos, and the rate of their frames.
      most_files: The most files that are open for videos.
    """

    def __init__(
        self,
        queue: VideoQueue,
        bodies: BodyReader,
        parsers: Executor,
        options: ServiceOptions,
        metrics: ServiceMetrics,
    ):
        """Makes the reader.

        Args:
          queue: Decodes and extracts.
          bodies: Reads JSON, within its limits.
          parsers: Where JSON is parsed.
          options: The service's limits.
          metrics: The service's counts.
        """
        self.limits = queue.limits
        self.most_files = MAX_UPLOADS + queue.most_files
        self._queue, self._metrics = queue, metrics
        self._top_k = options.top_k
        self._uploads = VideoUploads(
            bodies,
            parsers,
            queue.limits.max_video_bytes,
            options.client_timeout_seconds,
        )
        queue.note_number = metrics.video_files.set

    async def read(
        self, request: Request, present: Callable[[], ServedModel]
    ) -> VideoRequest:
        """Reads a request.

        Args:
          request: The request.
          present: Returns the model that serves now.

        Raises:
          HTTPException: The request or the video is wrong, or there are too
            many others.
        """
        if self._queue.is_full:
            raise HTTPException(503, _FULL, CLOSE | _BUSY)
        async with self._uploads.read(request) as upload:
            # Another one may take over meanwhile, which reads other frames.
            model = present()
            read, seconds = await self._extract(upload.path, model, request)
        self._metrics.video_file_seconds.observe(seconds)
        self._metrics.decoded_frames.inc(read.num_decoded)
        try:
            video = model.predictor.check(read.features)
        except ValueError as error:
            raise HTTPException(
                400, f"Features of the video: {error}"
            ) from error
        top_k = upload.top_k or self._top_k
        return VideoRequest(model, video, read, seconds, top_k)

    async def _extract(
        self, path: str, model: ServedModel, request: Request
    ) -> "tuple[ReadVideo, float]":
        assert model.reader is not None
        try:
            return await self._queue.extract(
                path, model.reader, _until_gone(request)
            )
        except asyncio.QueueFull as error:
            raise HTTPException(503, _FULL, _BUSY) from error
        except UnreadableVideoError as error:
            raise HTTPException(
                400, f"The video cannot be read: {error}"
            ) from error
        except AbandonedVideoError as error:
            raise HTTPException(400, "The client has gone.") from error

    def close(self) -> None:
        """Ends all work."""
        self._queue.close()


async def _until_gone(request: Request) -> None:
    """Waits until the client of a request that has been read goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

"""The features of clients' video files, some files at a time."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from distill.settings.video import VideoSettings
from distill.video.decoder import BadVideoError
from distill.video.decoding_process import DecodingProcesses

if TYPE_CHECKING:
    from distill.extraction.extractor import VideoExtractor
    from distill.extraction.video_features import NetworkReader, ReadVideo
    from distill.predictor import Predictor

# Pipes to a process that decodes.
_FILES_OF_PROCESS = 4


class ClientGoneError(Exception):
    """The client of a video has gone before its end."""


class VideoFiles:
    """Decodes videos in processes, and extracts what a model reads of them.

    Args:
      extractor: Makes the features, from any thread.
      limits: Limits of the videos; the rate is the extractor's.
      num_processes: Videos that are decoded at once.
      max_queue: Videos that may wait for that.

    Attributes:
      limits: The limits, with the rate.
      most_files: The most files that are open for videos.
      note_number: Told the number of videos that are decoded or wait, when it
        changes.
    """

    def __init__(
        self,
        extractor: "VideoExtractor",
        limits: VideoSettings,
        num_processes: int,
        max_queue: int,
    ):
        self.limits = dataclasses.replace(
            limits, frames_per_second=extractor.frames_per_second
        )
        self._extractor = extractor
        self._processes = DecodingProcesses(self.limits, num_processes)
        self._most = num_processes + max_queue
        self.most_files = self._most + _FILES_OF_PROCESS * num_processes
        self.note_number: Callable[[int], None] = lambda number: None
        self._number = 0

    def reader_of(self, predictor: "Predictor") -> "NetworkReader":
        """Returns what extracts the features that a model reads.

        Raises:
          ValueError: The extractor does not make them.
        """
        # This needs packages that a service without videos does not.
        from distill.extraction.video_features import NetworkReader

        interface = predictor.interface
        return NetworkReader(
            self._extractor, interface.schema, interface.budget
        )

    @property
    def is_full(self) -> bool:
        """Whether no other video may wait."""
        return self._number >= self._most

    async def extract(
        self, path: str, reader: "NetworkReader", gone: Awaitable[Any]
    ) -> "tuple[ReadVideo, float]":
        """Returns what a model reads of a video, and the seconds it took.

        Args:
          path: The video; nothing reads it any longer when this returns.
          reader: Of `reader_of`.
          gone: Awaits the end of the client, which ends the work.

        Raises:
          asyncio.QueueFull: Too many videos wait.
          BadVideoError: The video cannot be read; the message says why, and
            does not name it.
          ClientGoneError: The client has gone.
        """
        if self.is_full:
            raise asyncio.QueueFull
        self._note(1)
        future = self._processes.submit(self._read, path, reader)
        job, left = asyncio.wrap_future(future), asyncio.ensure_future(gone)
        try:
            await asyncio.wait({job, left}, return_when="FIRST_COMPLETED")
            if not job.done():
                raise ClientGoneError
            return job.result()
        except BadVideoError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise BadVideoError(reason) from error
        finally:
            left.cancel()
            future.cancel()
            while not job.done():
                self._processes.interrupt(path)
                await asyncio.wait({job}, timeout=0.1)
            await asyncio.gather(job, return_exceptions=True)
            self._note(-1)

    def close(self) -> None:
        """Ends all work and the processes."""
        self._processes.__exit__()

    def _note(self, change: int) -> None:
        self._number += change
        self.note_number(self._number)

    def _read(
        self, path: str, reader: "NetworkReader"
    ) -> "tuple[ReadVideo, float]":
        begin = time.perf_counter()
        with self._processes.open(path) as opened:
            read = reader.read(opened)
        return read, time.perf_counter() - begin

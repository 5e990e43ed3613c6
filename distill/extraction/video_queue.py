"""What networks read of videos, extracted for an event loop."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from distill.models.frame_budget import FrameBudget
from distill.settings.schema import DataSchema
from distill.settings.video import BadVideoError, VideoSettings
from distill.video.decoding_process import DecodingProcesses

if TYPE_CHECKING:
    from distill.extraction.extractor import VideoExtractor
    from distill.extraction.video_features import NetworkReader, ReadVideo

# Pipes to a process that decodes.
_FILES_OF_PROCESS = 4
_SECONDS_TO_KILL = 0.1


class UnreadableVideoError(ValueError):
    """A video cannot be read; the message says why, and does not name it."""


class AbandonedVideoError(Exception):
    """Nobody waits for a video any longer."""


class VideoQueue:
    """Decodes some videos at a time; some others may wait.

    Args:
      extractor: Makes the features, from any thread.
      limits: Limits of the videos; the rate is the extractor's.
      num_processes: Videos that are decoded at once.
      max_queue: Videos that may wait for that.

    Attributes:
      limits: The limits, with the rate.
      most_files: The most files that are open for videos.
      number: Videos that are decoded or wait.
      note_number: Told the number when it changes.
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
        self.number = 0

    def reader_of(
        self, schema: DataSchema, budget: FrameBudget
    ) -> "NetworkReader":
        """Returns what extracts the features that a network reads.

        Raises:
          ValueError: The extractor does not make them.
        """
        # This needs packages that a service without videos does not.
        from distill.extraction.video_features import NetworkReader

        return NetworkReader(self._extractor, schema, budget)

    @property
    def is_full(self) -> bool:
        """Whether no other video may wait."""
        return self.number >= self._most

    async def extract(
        self, path: str, reader: "NetworkReader", gone: Awaitable[Any]
    ) -> "tuple[ReadVideo, float]":
        """Returns what a network reads of a video, and the seconds it took.

        Args:
          path: The video; nothing reads it any longer when this returns.
          reader: Of `reader_of`.
          gone: Awaits that nobody waits for the video, which ends the work.

        Raises:
          asyncio.QueueFull: Too many videos wait.
          UnreadableVideoError: The video cannot be read.
          AbandonedVideoError: Nobody waits for it.
        """
        if self.is_full:
            raise asyncio.QueueFull
        self._note(1)
        future = self._processes.submit(self._read, path, reader)
        job, left = asyncio.wrap_future(future), asyncio.ensure_future(gone)
        try:
            await asyncio.wait({job, left}, return_when="FIRST_COMPLETED")
            if not job.done():
                raise AbandonedVideoError
            return job.result()
        except BadVideoError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise UnreadableVideoError(reason) from error
        finally:
            left.cancel()
            future.cancel()
            while not job.done():
                # Its process may have to start before it can be killed.
                self._processes.interrupt(path)
                await asyncio.wait({job}, timeout=_SECONDS_TO_KILL)
            await asyncio.gather(job, return_exceptions=True)
            self._note(-1)

    def close(self) -> None:
        """Ends all work and the processes."""
        self._processes.__exit__()

    def _note(self, change: int) -> None:
        self.number += change
        self.note_number(self.number)

    def _read(
        self, path: str, reader: "NetworkReader"
    ) -> "tuple[ReadVideo, float]":
        begin = time.perf_counter()
        with self._processes.open(path) as opened:
            read = reader.read(opened)
        return read, time.perf_counter() - begin

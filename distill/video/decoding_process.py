"""Decodes videos of unknown origin in a process that can be killed.

A damaged or hostile file may crash FFmpeg, or keep it busy for ever. That ends
the process alone, never the caller: it gets an error that names the video.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from distill.settings.video import BadVideoError, VideoSettings
from distill.system.extras import import_extra
from distill.system.storage import local_copy
from distill.video.decoder import EXTRA

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """A video, as far as its frames' times tell.

    Attributes:
      num_frames: Number of frames that the rate takes of it.
      seconds: From the first frame to the last.
      width: Pixels of a stored row.
      height: Pixels of a stored column.
      has_sound: Whether it has an audio stream.
    """

    num_frames: int
    seconds: float
    width: int
    height: int
    has_sound: bool


class DecodingProcess:
    """A process that decodes one video at a time; not for several threads.

    It is started when it is first needed, and again after a video has ended
    it. A context manager: leaving it ends the process.

    Args:
      settings: The rate of the frames, and limits.
      threads: Threads of the decoder; 0 for one each processor.
    """

    def __init__(self, settings: VideoSettings, threads: int = 1):
        import_extra("av", EXTRA)
        self._settings, self._threads = settings, threads
        self._process: subprocess.Popen | None = None
        self._path: str | Path = ""
        self._seconds_left = 0.0
        self._is_interrupted = False

    def __enter__(self) -> "DecodingProcess":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self.close()

    def close(self) -> None:
        """Ends the process; it starts again when it is needed."""
        self._kill()

    def interrupt(self) -> None:
        """Lets another thread, which decodes a video, end with an error."""
        if (process := self._process) is not None:
            self._is_interrupted = True
            process.kill()

    @contextlib.contextmanager
    def open(self, path: str | Path) -> Iterator["OpenVideo"]:
        """Gives a video to decode.

        Raises:
          BadVideoError: It cannot be read or is beyond the limits; the message
            names it. So do the errors while it is decoded.
          FileNotFoundError: There is no such file.
        """
        with local_copy(path) as local:
            if not local.exists():
                raise FileNotFoundError(f"There is no {path}.")
            self._path = path
            self._seconds_left = self._settings.max_decode_seconds
            if self._is_interrupted or self._has_ended():
                # The video before may have been read to its end even so.
                self._kill()
                self._is_interrupted = False
            opened = self._ask(
                wants="open",
                path=str(local.absolute()),
                settings=dataclasses.asdict(self._settings),
                threads=self._threads,
            )
            del opened["kind"]
            try:
                yield OpenVideo(self, VideoInfo(**opened))
            except BadVideoError as error:
                # The caller may have found that its sound is not finite.
                if str(error).startswith(f"{path}: "):
                    raise
                raise self._error(str(error)) from error

    def arrays(self, dtype: type, **request: Any) -> Iterator[np.ndarray]:
        """Yields the arrays of a request; for `OpenVideo`."""
        is_over = False
        try:
            message = self._ask(**request)
            while message["kind"] == "array":
                held: np.ndarray = np.frombuffer(self._receive(), dtype)
                yield held.reshape(message["shape"])
                message = self._receive_message()
            is_over = True
        except BadVideoError:
            is_over = True
            raise
        finally:
            if not is_over:
                # What it has yet to say would answer the next request.
                self._kill()

    def _ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request; returns the first message of the answer."""
        if self._process is None:
            self._start()
        try:
            self._requests.send_bytes(json.dumps(request).encode())
        except BrokenPipeError:
            self._fail()
        return self._receive_message()

    def _receive_message(self) -> dict[str, Any]:
        message = json.loads(self._receive())
        if message["kind"] == "bad":
            raise self._error(message["reason"])
        return message

    def _error(self, reason: str) -> BadVideoError:
        return BadVideoError(f"{self._path}: {reason}.")

    def _receive(self) -> bytes:
        """Returns the next bytes, unless the time is over."""
        begin = time.monotonic()
        if not self._answers.poll(max(self._seconds_left, 0)):
            self._kill()
            most = self._settings.max_decode_seconds
            raise self._error(f"it was not decoded in {most:g} seconds")
        # Only the time that is waited for: the caller may be slow.
        self._seconds_left -= time.monotonic() - begin
        try:
            return self._answers.recv_bytes()
        except (EOFError, ConnectionResetError):
            self._fail()

    def _start(self) -> None:
        reading, requests = os.pipe()
        answers, writing = os.pipe()
        path = [folder for folder in sys.path if folder]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "distill.video.worker"),
                *(str(reading), str(writing)),
                str(self._settings.max_decode_bytes),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(reading, writing),
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        )
        os.close(reading)
        os.close(writing)
        self._requests = Connection(requests, readable=False)
        self._answers = Connection(answers, writable=False)

    def _fail(self) -> NoReturn:
        """Raises an error that says how the process has ended."""
        assert self._process is not None
        status = self._process.wait()
        self._kill()
        how = f"status {status}"
        if status < 0:
            how = signal.Signals(-status).name
        raise self._error(f"it ended the decoding process by {how}")

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()
        self._process = None


class OpenVideo:
    """A video that a `DecodingProcess` holds open.

    Attributes:
      info: The video, as far as its frames' times tell.
    """

    def __init__(self, process: DecodingProcess, info: VideoInfo):
        self._process = process
        self.info = info

    def frames(
        self, numbers: Sequence[int], size: tuple[int, int] | None
    ) -> Iterator[np.ndarray]:
        """Yields frames as `VideoFile.frames` does."""
        return self._process.arrays(
            np.uint8, wants="frames", numbers=list(numbers), size=size
        )

    def sound(self, seconds: float) -> Iterator[np.ndarray]:
        """Yields sound as `VideoFile.sound` does."""
        return self._process.arrays(np.float32, wants="sound", seconds=seconds)


class DecodingProcesses:
    """Threads that each have a `DecodingProcess`; a context manager.

    Leaving it ends the work that has begun, and forgets that which has not.

    Args:
      settings: The rate of the frames, and limits.
      num_threads: Videos that are decoded at once; None for one each
        processor.
    """

    def __init__(self, settings: VideoSettings, num_threads: int | None):
        self._settings = settings
        self.num_threads = num_threads or os.cpu_count() or 1
        self._local = threading.local()
        self._all: list[DecodingProcess] = []
        self._open: dict[DecodingProcess, str | Path] = {}
        self._lock = threading.Lock()
        self._is_over = False
        self._pool = ThreadPoolExecutor(self.num_threads)

    def __enter__(self) -> "DecodingProcesses":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends threads and processes."""
        self._is_over = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self._all:
            process.interrupt()
        self._pool.shutdown()
        for process in self._all:
            process.close()

    def submit(
        self, function: Callable[..., Result], *arguments: Any
    ) -> Future[Result]:
        """Lets a thread call a function, in which `open` gives videos."""
        return self._pool.submit(function, *arguments)

    def interrupt(self, path: str | Path) -> None:
        """Lets the thread that decodes a video end with an error."""
        with self._lock:
            for process, opened in self._open.items():
                if opened == path:
                    process.interrupt()

    @contextlib.contextmanager
    def open(self, path: str | Path) -> Iterator[OpenVideo]:
        """Gives a video to decode by the thread's process.

        Raises:
          CancelledError: The work is being ended.
        """
        if not hasattr(self._local, "process"):
            self._local.process = DecodingProcess(self._settings)
            self._all.append(self._local.process)
        if self._is_over:
            raise CancelledError
        process = self._local.process
        with self._lock:
            self._open[process] = path
        try:
            with process.open(path) as opened:
                yield opened
        except BadVideoError:
            if self._is_over:
                raise CancelledError from None
            raise
        finally:
            with self._lock:
                del self._open[process]

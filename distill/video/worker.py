"""The process that decodes videos of unknown origin: `python -m` this module.

It reads requests, JSON objects, from a pipe, and writes messages to another: a
JSON object, and behind those of `frames` and `sound` an array's bytes. Its
memory is limited, and whoever started it may kill it at any moment.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from distill.settings.video import BadVideoError, VideoSettings
from distill.system.storage import to_path
from distill.video.decoder import VideoFile


def main() -> None:
    """Answers requests until the pipe is closed."""
    # Whoever started it ends it, also where all processes get a signal.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    requests, answers, most_bytes = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    receiver = Connection(requests, writable=False)
    sender = Connection(answers, readable=False)
    video = None
    while True:
        try:
            request = json.loads(receiver.recv_bytes())
        except EOFError:
            return
        try:
            if request["wants"] == "open":
                video = _open(request)
                _send(sender, {"kind": "opened"} | _describe(video))
                continue
            for array in _arrays(video, request):
                _send(sender, {"kind": "array"}, array)
            _send(sender, {"kind": "end"})
        except BadVideoError as error:
            _send(sender, {"kind": "bad", "reason": str(error)})
        except MemoryError:
            _send(sender, {"kind": "bad", "reason": "it needs too much memory"})
        except OSError as error:
            reason = error.strerror or str(error)
            _send(sender, {"kind": "bad", "reason": reason})


def _open(request: dict[str, Any]) -> VideoFile:
    settings = VideoSettings(**request["settings"])
    return VideoFile(to_path(request["path"]), settings, request["threads"])


def _describe(video: VideoFile) -> dict[str, Any]:
    names = ("num_frames", "seconds", "width", "height", "has_sound")
    return {name: getattr(video, name) for name in names}


def _arrays(video: Any, request: dict[str, Any]) -> Iterator[np.ndarray]:
    if request["wants"] == "frames":
        return video.frames(request["numbers"], request["size"])
    return video.sound(request["seconds"])


def _send(
    sender: Connection, message: dict[str, Any], array: np.ndarray | None = None
) -> None:
    if array is not None:
        message["shape"] = array.shape
    sender.send_bytes(json.dumps(message).encode())
    if array is not None:
        sender.send_bytes(array.tobytes())


if __name__ == "__main__":
    # FFmpeg's messages are for nobody; errors come as messages of their own.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(BrokenPipeError):
        main()

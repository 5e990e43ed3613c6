"""Settings of the HTTP service."""

import dataclasses
import re

from distill.models.options import check_options, option
from distill.settings.video import VideoSettings

# Limits of the video files of clients; the extractor says the rate.
CLIENT_VIDEOS = VideoSettings(
    max_video_bytes=64 * 2**20,
    max_video_seconds=600.0,
    max_video_pixels=3840 * 2160,
    max_video_streams=8,
    max_decode_seconds=60.0,
)


@dataclasses.dataclass(frozen=True)
class ServiceOptions:
    """Name and limits of the service."""

    model_name: str = option("student", "Name in /v1/models/NAME.")
    top_k: int = option(20, "Classes of an answer, best first.", minimum=1)
    max_body_bytes: int = option(
        16 * 2**20, "Most bytes of a request's body.", minimum=1
    )
    max_batch_size: int = option(
        64, "Most videos of one call of the model.", minimum=1
    )
    batch_delay_ms: float = option(
        2.0, "Milliseconds that a video waits for others to join it.", minimum=0
    )
    max_queue: int = option(
        1024, "Videos that may wait; beyond: status 503.", minimum=1
    )
    max_connections: int | None = option(
        None,
        "Open connections of a process; beyond, the one that waits longest for "
        "its client is closed. Default: 1000, or fewer where `ulimit -n` is "
        "low.",
        minimum=1,
    )
    client_timeout_seconds: float = option(
        20.0,
        "Seconds for a request's head, and for each 64 KiB of a body or of "
        "reading an answer.",
        minimum=0.1,
    )
    video_processes: int = option(
        2, "Video files that are decoded at once, each in a process.", minimum=1
    )
    max_video_queue: int = option(
        16, "Video files that may wait for that; beyond: status 503.", minimum=1
    )
    workers: int = option(
        1,
        "Processes that answer, each with its own copy of the model.",
        minimum=1,
    )
    access_log: bool = option(
        False,
        "Print a line a request: time, client, method, path, status, videos, "
        "milliseconds.",
    )
    stop_delay_seconds: float = option(
        0.0,
        "From SIGTERM on, seconds in which requests are still accepted while "
        "/healthz answers 503.",
        minimum=0,
    )
    stop_timeout_seconds: int = option(
        30, "Then, seconds for the answers of accepted requests.", minimum=1
    )

    def __post_init__(self):
        """Checks the values."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.model_name):
            raise ValueError(
                "model_name must be letters, digits, '_', '-' and '.', got "
                f"{self.model_name!r}."
            )
        check_options(self)

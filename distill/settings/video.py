"""Settings of reading videos: the frames that are taken, and limits."""

import dataclasses

from distill.models.options import check_options, option


@dataclasses.dataclass(frozen=True)
class VideoSettings:
    """The rate of the frames, and limits for videos that nobody has checked."""

    frames_per_second: float = option(
        1.0, "Frames taken of a second of video.", minimum=1e-3
    )
    max_video_bytes: int = option(
        16 * 2**30, "Most bytes of a video file.", minimum=1
    )
    max_video_seconds: float = option(
        4 * 3600.0, "Longest video that is accepted.", minimum=1e-3
    )
    max_video_pixels: int = option(
        4096 * 2304, "Most pixels of a frame.", minimum=1
    )
    max_video_streams: int = option(
        32, "Most streams of a video file.", minimum=1
    )
    max_decode_bytes: int = option(
        2**30, "Most memory of a process that decodes.", minimum=2**28
    )
    max_decode_seconds: float = option(
        600.0, "Most seconds that decoding a video may take.", minimum=1e-3
    )

    def __post_init__(self):
        """Checks the values."""
        check_options(self)


class BadVideoError(ValueError):
    """A video that cannot be read, or is beyond the limits."""

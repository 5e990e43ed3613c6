"""Decodes the chosen frames, and the sound, of a local video file by FFmpeg.

The file is read by this process: `distill.video.decoding_process` reads files
of unknown origin in a process that can be killed.
"""

import contextlib
import itertools
import math
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from distill.settings.video import BadVideoError, VideoSettings
from distill.system.extras import import_extra
from distill.video.timeline import Timeline

EXTRA = "video"
SOUND_RATE = 16_000
# Playlists and the like are no containers: they name other files.
_FORMATS = (
    *("3g2", "3gp", "asf", "avi", "flv", "gif", "m4a", "matroska", "mj2"),
    *("mov", "mp4", "mpeg", "mpegts", "mpegvideo", "ogg", "rm", "webm", "wmv"),
    *("mjpeg", "h264", "hevc", "ivf", "mxf", "nut", "y4m", "yuv4mpegpipe"),
)
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(_FORMATS),
    "fflags": "+genpts",
}
# A file whose head promises so much more than it holds is cut.
_MOST_MISSING_SECONDS, _MOST_MISSING_SHARE = 1.0, 0.05
_MOST_FRAMES = 10_000_000
_ATTACHED_PICTURE = 0x400
# Codecs whose files say of a frame that no other is decoded from it. In HEVC
# it says so of its own temporal layer alone.
_SKIPPING_CODECS = ("h264", "mpeg4", "mpeg2video", "mpeg1video")
# Whether to jump to key frames, and to skip frames that no other needs: the
# fastest way first, then those that files with wrong marks need.
_WAYS = ((True, True), (True, False), (False, False))


class VideoFile:
    """An open video file.

    Args:
      path: A local file.
      settings: The rate of the frames that are taken, and limits.
      threads: Threads of the decoder; 0 for one each processor.

    Attributes:
      num_frames: Number of frames that the rate takes of it.
      seconds: From the first frame to the last.
      width: Pixels of a row, as shown.
      height: Pixels of a column, as shown.
      has_sound: Whether it has an audio stream.

    Raises:
      BadVideoError: It is not a video, is cut, or is beyond a limit.
    """

    def __init__(self, path: Path, settings: VideoSettings, threads: int = 1):
        self._av = import_extra("av", EXTRA)
        self._path, self._settings = path, settings
        self._threads = threads
        if path.stat().st_size > settings.max_video_bytes:
            raise BadVideoError(
                f"it has more than {settings.max_video_bytes:,} bytes"
            )
        with self._open() as (container, stream):
            self._timeline = self._read_timeline(container, stream)
            self.width = int(stream.codec_context.width)
            self.height = int(stream.codec_context.height)
            sounds = container.streams.audio
            self.has_sound = (
                bool(sounds) and sounds[0].codec_context is not None
            )
        self.seconds = self._timeline.seconds
        if self.seconds > settings.max_video_seconds:
            raise BadVideoError(
                f"it has {self.seconds:,.0f} seconds, more than "
                f"{settings.max_video_seconds:,.0f}"
            )
        self.num_frames = self._timeline.count(settings.frames_per_second)

    @contextlib.contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        """Gives the container and its video stream, within the limits."""
        most = self._settings
        try:
            with self._av.open(
                f"file:{self._path}", options=_OPTIONS, metadata_errors="ignore"
            ) as container:
                count = len(container.streams)
                if count > most.max_video_streams:
                    raise BadVideoError(
                        f"it has {count} streams, more than "
                        f"{most.max_video_streams}"
                    )
                stream = _find_video(container)
                context = stream.codec_context
                pixels = context.width * context.height
                if pixels > most.max_video_pixels:
                    raise BadVideoError(
                        f"a frame has {pixels:,} pixels, more than "
                        f"{most.max_video_pixels:,}"
                    )
                # The size may change within the stream.
                context.options = {"max_pixels": str(most.max_video_pixels)}
                context.thread_count = self._threads
                context.thread_type = "AUTO" if self._threads != 1 else "NONE"
                yield container, stream
        except self._av.FFmpegError as error:
            raise BadVideoError(_reason(error)) from error

    def _read_timeline(self, container: Any, stream: Any) -> Timeline:
        """Returns the times of all frames, which no decoder is needed for."""
        times, keys = array("q"), array("q")
        ends: dict[int, int] = {}
        for packet in container.demux():
            number = packet.stream_index
            if packet.dts is not None:
                end = packet.dts + (packet.duration or 0)
                if end > ends.get(number, 0):
                    ends[number] = end
            if number != stream.index or not packet.size:
                continue
            if packet.is_discard:
                continue
            if packet.pts is None:
                raise BadVideoError(
                    "its frames have no times: `ffmpeg -fflags +genpts -i IN "
                    "-c copy OUT.mp4` adds them"
                )
            if len(times) == _MOST_FRAMES:
                raise BadVideoError(f"it has more than {_MOST_FRAMES:,} frames")
            times.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
        self._check_end(container, ends)
        try:
            return Timeline.of_packets(times, keys, Fraction(stream.time_base))
        except ValueError as error:
            raise BadVideoError(str(error)) from error

    def _check_end(self, container: Any, ends: dict[int, int]) -> None:
        """Refuses a file whose head promises more than its streams hold."""
        if container.duration is None:
            return
        end = max(
            (
                float(units * (container.streams[number].time_base or 0))
                for number, units in ends.items()
            ),
            default=0.0,
        )
        start = (container.start_time or 0) / self._av.time_base
        promised = start + container.duration / self._av.time_base
        missing = promised - end
        if missing > max(
            _MOST_MISSING_SECONDS, _MOST_MISSING_SHARE * (promised - start)
        ):
            raise BadVideoError(
                f"it is cut: it ends after {end - start:.1f} of "
                f"{promised - start:.1f} seconds"
            )

    def frames(
        self, numbers: Sequence[int], size: tuple[int, int] | None
    ) -> Iterator[np.ndarray]:
        """Yields the frames of some numbers, in their order.

        Only what lies between a key frame and a wanted frame is decoded, and
        of that only the frames from which others are decoded.

        Args:
          numbers: Rising, each below `num_frames`.
          size: Height and width of the result; None for each frame's own.

        Yields:
          uint8 `[height, width, 3]`, red, green and blue, turned upright.

        Raises:
          BadVideoError: A frame cannot be decoded.
        """
        rate = self._settings.frames_per_second
        times = self._timeline.times_of(numbers, rate)
        try:
            for place, time, frame in self._decode(times):
                if frame is None or frame.is_corrupt:
                    seconds = numbers[place] / rate
                    raise BadVideoError(
                        f"its frame at {seconds:.1f} s cannot be decoded"
                    )
                if not place or time != times[place - 1]:
                    picture = _scale(frame, size)
                yield picture
        except self._av.FFmpegError as error:
            raise BadVideoError(_reason(error)) from error

    def _decode(self, times: Sequence[int]) -> Iterator[tuple[int, int, Any]]:
        """Yields place, time and frame; None for one that is missing."""
        place = 0
        for seeks, skips in _WAYS:
            with self._open() as (container, stream), suppress(_WrongWay):
                shown = _Cursor(
                    container,
                    stream,
                    self._timeline,
                    seeks=seeks,
                    needed=set(times) if skips else None,
                )
                while place < len(times):
                    time = times[place]
                    yield place, time, shown.frame_at(time)
                    place += 1
                return

    def sound(self, seconds: float) -> Iterator[np.ndarray]:
        """Yields the sound from the first frame on, in blocks.

        Channels are averaged. Sound that begins later is preceded by silence.

        Args:
          seconds: Of the sound; less where it ends before.

        Yields:
          float32 `[samples]` in [-1, 1], `SOUND_RATE` a second.

        Raises:
          BadVideoError: The sound cannot be decoded.
        """
        if not self.has_sound:
            return
        start = int(self._timeline.times[0]) * self._timeline.time_base
        most = math.ceil(seconds * SOUND_RATE)
        count = 0
        try:
            with self._open() as (container, _):
                for block in _resample(self._av, container, start):
                    part = block[: most - count]
                    count += len(part)
                    yield part
                    if count == most:
                        return
        except BadVideoError:
            raise
        except ValueError as error:  # such as channels that change
            raise BadVideoError(_reason(error)) from error


class _WrongWay(Exception):
    """The file's marks have not led to a frame: it must be decoded slower."""


class _Cursor:
    """Decodes a stream forward, and jumps to key frames on the way.

    Args:
      container: The open container.
      stream: Its video stream.
      timeline: The times of the stream's frames.
      seeks: Whether it jumps.
      needed: Times of the frames that will be asked for, if those that no
        other frame needs may be skipped; None to decode every frame.
    """

    def __init__(
        self,
        container: Any,
        stream: Any,
        timeline: Timeline,
        *,
        seeks: bool,
        needed: set[int] | None,
    ):
        self._container, self._stream = container, stream
        self._timeline, self._seeks = timeline, seeks
        self._needed = needed
        if stream.codec_context.name not in _SKIPPING_CODECS:
            self._needed = None
        self._frames = self._decode()
        # The last frame that was passed, and one that was decoded beyond.
        self._passed: Any = None
        self._ahead: Any = None

    def frame_at(self, time: int) -> Any:
        """Returns the last frame whose time is not later; None for none.

        Raises:
          _WrongWay: The container's index is wrong, or a frame was skipped
            that might have been needed.
        """
        key = self._timeline.key_before(time)
        if self._seeks and key is not None and self._is_behind(key):
            self._jump(key)
        while self._passed is None or self._passed.pts != time:
            if self._ahead is None:
                self._ahead = next(self._frames, None)
            if self._ahead is None or self._ahead.pts > time:
                break
            self._passed, self._ahead = self._ahead, None
        if self._needed and (self._passed is None or self._passed.pts != time):
            raise _WrongWay
        return self._passed

    def _decode(self) -> Iterator[Any]:
        """Yields the frames from here on, without those that are skipped."""
        context = self._stream.codec_context
        for packet in self._container.demux(self._stream):
            if self._needed:
                is_needed = packet.pts in self._needed or not packet.size
                context.skip_frame = "DEFAULT" if is_needed else "NONREF"
            for frame in packet.decode():
                # A second field may be a packet with another time. Damage may
                # be mended from a frame that no other needs.
                is_risky = frame.interlaced_frame or frame.is_corrupt
                if self._needed and is_risky:
                    raise _WrongWay
                yield frame

    def _is_behind(self, key: int) -> bool:
        """Returns whether a jump to a key frame leads forward."""
        latest = self._ahead or self._passed
        if latest is None:
            return key > self._timeline.times[0]
        return key > latest.pts

    def _jump(self, key: int) -> None:
        try:
            self._container.seek(key, stream=self._stream)
        except OSError as error:
            raise _WrongWay from error
        self._frames = self._decode()
        self._passed, self._ahead = None, next(self._frames, None)
        if self._ahead is None or self._ahead.pts > key:
            raise _WrongWay


def _find_video(container: Any) -> Any:
    """Returns the first video stream that is no picture of a cover."""
    for stream in container.streams.video:
        if stream.codec_context is None:
            raise BadVideoError("FFmpeg has no decoder for its video")
        if not int(stream.disposition) & _ATTACHED_PICTURE:
            return stream
    raise BadVideoError("it has no video stream")


def _scale(frame: Any, size: tuple[int, int] | None) -> np.ndarray:
    """Returns a frame as uint8 `[height, width, 3]`, turned upright."""
    turns = round(frame.rotation / 90) % 4
    height, width = size or (None, None)
    if turns % 2:
        width, height = height, width
    scaled = frame.reformat(width, height, "rgb24", interpolation="BILINEAR")
    return np.rot90(scaled.to_ndarray(), turns)


def _resample(av: Any, container: Any, start: Fraction) -> Iterator[np.ndarray]:
    """Yields the sound from a time on, with silence before a later begin."""
    resampler = av.AudioResampler("fltp", None, SOUND_RATE)
    dropped = None
    for frame in itertools.chain(container.decode(audio=0), [None]):
        if dropped is None:
            if frame is None:
                return
            begin = (frame.pts or 0) * Fraction(frame.time_base or 0)
            dropped = round((start - begin) * SOUND_RATE)
            for left in range(-dropped, 0, -SOUND_RATE):
                yield np.zeros(min(left, SOUND_RATE), np.float32)
            dropped = max(dropped, 0)
        for resampled in resampler.resample(frame):
            block = resampled.to_ndarray().mean(axis=0)
            yield block[dropped:]
            dropped -= min(dropped, len(block))


def _reason(error: Exception) -> str:
    """Returns an error of FFmpeg without the file's name."""
    text = getattr(error, "strerror", None) or str(error)
    return f"FFmpeg: {text}"

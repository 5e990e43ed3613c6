"""Videos in which every frame shows its own number, drawn by PyAV."""

import itertools
import struct
from fractions import Fraction

import numpy as np
import pytest

SIZE = 64
_CELL = 16
_BITS = np.arange((SIZE // _CELL) ** 2)
MILLISECOND = Fraction(1, 1000)


def picture_of(number):
    """Returns uint8 `[64, 64, 3]`: the number's bits as white squares."""
    bits = (number >> _BITS & 1).reshape(-1, SIZE // _CELL)
    grey = np.kron(bits * 255, np.ones((_CELL, _CELL)))
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def number_in(picture):
    """Returns the number that a picture shows, of any size."""
    height, width, _ = picture.shape
    step = SIZE // _CELL
    rows = (np.arange(step) + 0.5) * height / step
    columns = (np.arange(step) + 0.5) * width / step
    cells = picture[np.ix_(rows.astype(int), columns.astype(int), [1])]
    return int(np.sum((cells.ravel() > 127) << _BITS))


def draw_video(
    path,
    times,
    codec="libx264",
    options=(),
    *,
    pix_fmt="yuv420p",
    width=SIZE,
    numbers=None,
    sound=None,
    sound_codec="aac",
    sound_rate=16_000,
    sound_start=0.0,
):
    """Writes a video whose frames have these times in milliseconds.

    Args:
      path: The file; its suffix decides the container.
      times: Of the frames, from their number 0 on.
      codec: The encoder.
      options: Options of the encoder, such as `[("g", "12"), ("bf", "2")]`.
      pix_fmt: Form of the pixels.
      width: Pixels of a row; a column has 64.
      numbers: The number that each frame shows; None for 0, 1, 2 and on.
      sound: Samples `[n]` or `[2, n]` in [-1, 1]; None for no audio stream.
      sound_codec: The encoder of the sound.
      sound_rate: Its samples a second.
      sound_start: The second of its first sample.
    """
    av = pytest.importorskip("av", reason="comes with the extra video")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=1000, options=dict(options), width=width, height=SIZE
        )
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = MILLISECOND
        if sound is not None:
            samples = np.atleast_2d(np.asarray(sound, np.float32))
            layout = ("mono", "stereo")[len(samples) - 1]
            audio = container.add_stream(
                sound_codec, rate=sound_rate, layout=layout
            )
        for number, time in zip(
            numbers or itertools.count(), times, strict=False
        ):
            frame = av.VideoFrame.from_ndarray(picture_of(number), "rgb24")
            frame.pts, frame.time_base = time, MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            start = round(sound_start * sound_rate)
            for packet in _encode_sound(av, audio, samples, start):
                container.mux(packet)
    return path


def _encode_sound(av, stream, samples, start):
    """Yields the packets of samples `[channels, n]`, the first at a time."""
    rate, layout = stream.codec_context.sample_rate, stream.layout.name
    resampler = av.AudioResampler(stream.format, layout, rate)
    frame = av.AudioFrame.from_ndarray(samples, "fltp", layout)
    frame.sample_rate, frame.time_base = rate, 1 / Fraction(rate)
    frame.pts = start
    for each in resampler.resample(frame):
        yield from stream.encode(each)
    yield from stream.encode()


def turn_right(path):
    """Lets an MP4 file say that its frames are shown turned by 90 degrees."""
    contents = bytearray(path.read_bytes())
    one = 1 << 16
    matrix = (0, one, 0, -one, 0, 0, SIZE * one, 0, 1 << 30)
    place = contents.index(b"tkhd") + 4 + 40
    contents[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(bytes(contents))

"""Damaged video files: each is decoded, or refused in one line."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from distill.settings.video import BadVideoError, VideoSettings
from distill.system.extras import import_extra
from distill.video.decoder import EXTRA
from distill.video.decoding_process import DecodingProcess
from tools.attacks.attempt import Attempt
from tools.attacks.damage import BYTES
from tools.process_memory import resident_bytes

# Container: encoders of frames and sound.
_CODECS = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "pcm_s16le"),
    "webm": ("libvpx-vp9", "libopus"),
    "avi": ("mpeg4", "libmp3lame"),
    "ts": ("mpeg2video", "mp2"),
    "flv": ("flv", "aac"),
}
_SIDE, _RATE, _SECONDS, _SOUND_RATE = 64, 25, 3, 48_000
# Most faults lie in the head, which says what the rest is.
_HEAD = 2_000
_SETTINGS = VideoSettings(max_decode_seconds=60.0, max_decode_bytes=2**29)
_GROWTH_BYTES = 64 * 2**20


def attack(
    work_dir: Path, num_tries: int, rng: random.Random
) -> Iterator[Attempt]:
    """Damages a video of each container in turn and decodes it.

    The process that decodes may end; the caller must get frames, or a
    `BadVideoError` that names the file, and keep its size.
    """
    originals = {
        suffix: _draw(work_dir / f"whole.{suffix}", *codecs)
        for suffix, codecs in _CODECS.items()
    }
    before = resident_bytes()
    with DecodingProcess(_SETTINGS) as process:
        for number in range(num_tries):
            suffix = [*_CODECS][number % len(_CODECS)]
            path = work_dir / f"{number:05d}.{suffix}"
            deed = _damage(originals[suffix], path, rng)
            outcome, problem = _decode(process, path)
            if resident_bytes() > before + _GROWTH_BYTES:
                problem = problem or "the caller has grown"
            if not problem:
                path.unlink()
            yield Attempt(suffix, f"{deed}, {outcome}", problem)


def _draw(path: Path, codec: str, sound_codec: str) -> bytes:
    """Returns the bytes of a short video of noise."""
    av = import_extra("av", EXTRA)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=_RATE)
        stream.width = stream.height = _SIDE
        stream.pix_fmt = "yuv420p"
        sound = container.add_stream(sound_codec, rate=_SOUND_RATE)
        for _ in range(_SECONDS * _RATE):
            picture = rng.integers(0, 256, (8, 8, 3), np.uint8)
            pixels = np.kron(picture, np.ones((8, 8, 1), np.uint8))
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        samples = rng.normal(0, 0.1, (1, _SECONDS * _SOUND_RATE))
        frame = av.AudioFrame.from_ndarray(
            samples.astype(np.float32), "fltp", "mono"
        )
        frame.sample_rate = _SOUND_RATE
        context = sound.codec_context
        resampler = av.AudioResampler(
            context.format, context.layout, _SOUND_RATE, context.frame_size
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(part))
        container.mux(sound.encode())
    return path.read_bytes()


def _damage(original: bytes, path: Path, rng: random.Random) -> str:
    """Writes a damaged video; returns what was done."""
    damage = rng.choice(BYTES)
    if rng.random() < 1 / 2:
        contents = damage(original[:_HEAD], rng) + original[_HEAD:]
        place = "head"
    else:
        contents, place = damage(original, rng), "file"
    path.write_bytes(contents)
    return f"{damage.__name__} of the {place}"


def _decode(process: DecodingProcess, path: Path) -> tuple[str, str]:
    """Returns what came of a video, and what is wrong with that."""
    try:
        with process.open(path) as video:
            numbers = range(min(video.info.num_frames, 50))
            shapes = {f.shape for f in video.frames(numbers, (16, 24))}
            for block in video.sound(_SECONDS):
                if not np.isfinite(block).all():
                    return "decoded", "the sound is not finite"
    except BadVideoError as error:
        text = str(error)
        if "\n" in text or not text.startswith(f"{path}: "):
            return "refused", f"not one line with the path: {text!r}"
        return f"refused: {text.partition(': ')[2]}", ""
    except Exception as error:
        return "failed", repr(error)[:200]
    if shapes != {(16, 24, 3)}:
        return "decoded", f"its frames have the shapes {shapes}"
    return "decoded", ""

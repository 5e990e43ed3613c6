"""Videos of any length from a short clip, with key frames at any distance."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distill.system.extras import import_extra
from distill.video.decoder import EXTRA

# Key frames at the wanted distance alone: none where scenes change.
_ENCODER = {"x264-params": "scenecut=0"}


def repeat_clip(clip: Path, output: Path, seconds: float) -> None:
    """Writes the coded frames of a clip again and again, with later times.

    Nothing is decoded or encoded: frames, their sizes and the distances of
    key frames are the clip's. Its sound is left out, and so is what follows
    its last key frame, because the clip's end cuts that distance.

    Args:
      clip: A video of a steady frame rate.
      output: The file to write, an MP4.
      seconds: Length of the result, which ends before the next key frame.
    """
    av = import_extra("av", EXTRA)
    with av.open(str(clip)) as source, av.open(str(output), "w") as target:
        stream = source.streams.video[0]
        packets = [p for p in source.demux(stream) if p.size]
        keys = [n for n, packet in enumerate(packets) if packet.is_keyframe]
        del packets[keys[-1] or len(packets) :]
        step = _units_a_frame(packets)
        copy = target.add_stream_from_template(stream)
        start = min(packet.pts for packet in packets)
        end = start + int(seconds / stream.time_base)
        for turn in itertools.count():
            shift = turn * step * len(packets)
            for packet in packets:
                if packet.is_keyframe and packet.pts + shift >= end:
                    return
                target.mux(_copy_packet(av, packet, shift, copy))


def _copy_packet(av: Any, packet: Any, shift: int, stream: Any) -> Any:
    copy = av.Packet(bytes(packet))
    copy.pts, copy.dts = packet.pts + shift, packet.dts + shift
    copy.duration, copy.time_base = packet.duration, packet.time_base
    copy.is_keyframe, copy.stream = packet.is_keyframe, stream
    return copy


def encode_clip(clip: Path, output: Path, key_seconds: float) -> None:
    """Encodes a clip in H.264 with key frames at a distance.

    The frames are repeated until the last distance is whole. The encoder is
    libx264 with its own settings: up to 3 B-frames in a row, one of which may
    be a reference.
    """
    av = import_extra("av", EXTRA)
    with av.open(str(clip)) as source, av.open(str(output), "w") as target:
        stream = source.streams.video[0]
        frames = list(source.decode(stream))
        rate = 1 / (_units_a_frame(frames) * stream.time_base)
        distance = round(key_seconds * rate)
        coded = target.add_stream(
            "libx264",
            rate=rate,
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            options=_ENCODER | {"g": str(distance)},
        )
        coded.pix_fmt = "yuv420p"
        count = distance * -(-len(frames) // distance)
        for number, frame in enumerate(_repeat(frames, count)):
            frame.pts, frame.time_base, frame.pict_type = number, 1 / rate, 0
            target.mux(coded.encode(frame))
        target.mux(coded.encode())


def _repeat(frames: list[Any], count: int) -> Iterator[Any]:
    return itertools.islice(itertools.cycle(frames), count)


def count_key_seconds(video: Path) -> float:
    """Returns the mean seconds from one key frame to the next."""
    av = import_extra("av", EXTRA)
    with av.open(str(video)) as source:
        stream = source.streams.video[0]
        packets = [p for p in source.demux(stream) if p.size]
        units = _units_a_frame(packets) * len(packets)
        num_keys = sum(packet.is_keyframe for packet in packets)
        return float(units * stream.time_base / num_keys)


def _units_a_frame(timed: Sequence[Any]) -> int:
    """Returns the distance in time of a steady stream's packets or frames."""
    first, second, *_ = sorted(each.pts for each in timed)
    return second - first

"""The frames that are taken of a video follow from their times."""

import bisect
import random
from fractions import Fraction

import numpy as np
import pytest

from distill.settings.video import BadVideoError, VideoSettings
from distill.video.decoder import VideoFile
from distill.video.decoding_process import DecodingProcess
from distill.video.timeline import Timeline
from tests.memory_growth import memory_grows_by_at_most
from tests.video.drawn_videos import (
    SIZE,
    draw_video,
    number_in,
    picture_of,
    turn_right,
)

RATES = random.Random(0)
STEADY = range(0, 20_000, 40)
VARIABLE = np.cumsum(
    [0, *RATES.choices([7, 20, 33, 40, 41, 200, 1_500], k=300)]
).tolist()
CASES = {
    "steady.mp4": (STEADY, "libx264", {"g": "50", "bf": "3"}),
    "variable.mp4": (VARIABLE, "libx264", {"g": "30", "bf": "2"}),
    "open_gop.mkv": (
        VARIABLE,
        "libx264",
        {"g": "30", "bf": "2", "x264-params": "open-gop=1"},
    ),
    "pyramid.mp4": (
        VARIABLE,
        "libx264",
        {"g": "60", "bf": "7", "x264-params": "b-adapt=0:b-pyramid=normal"},
    ),
    "interlaced.mp4": (
        STEADY[:200],
        "libx264",
        {"g": "50", "bf": "3", "flags": "+ildct+ilme", "x264-params": "tff=1"},
    ),
    "hevc.mp4": (
        STEADY[:200],
        "libx265",
        {"x265-params": "keyint=50:bframes=4:b-pyramid=1:log-level=none"},
    ),
    "vp9.webm": (STEADY[:200], "libvpx-vp9", {"g": "50", "cpu-used": "8"}),
    "b_frames.mkv": (
        STEADY,
        "mpeg2video",
        {"g": "30", "bf": "2", "strict": "-2"},
    ),
    "late.ts": ([t + 5_000 for t in VARIABLE], "libx264", {"g": "30"}),
    "variable.flv": (VARIABLE, "libx264", {"g": "30", "bf": "2"}),
    "packed.avi": (STEADY, "mpeg4", {"g": "30", "bf": "2"}),
    "one_key.webm": (STEADY, "libvpx", {"g": "9999", "deadline": "realtime"}),
    "one_frame.mp4": ([0], "libx264", {}),
    "steady.gif": (range(0, 4_000, 40), "gif", {}),
}


def expected_numbers(times, rate=1.0):
    """Returns the frame that is shown at each multiple of 1 / rate."""
    since = [time - times[0] for time in times]
    count = int(since[-1] * rate // 1000) + 1
    shown = [1000 * n / Fraction(str(rate)) for n in range(count)]
    return [bisect.bisect_right(since, second) - 1 for second in shown]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Returns a function that draws a case's video once."""
    folder = tmp_path_factory.mktemp("drawn")

    def draw(name):
        times, codec, options = CASES[name]
        path = folder / name
        if not path.exists():
            form = "rgb8" if codec == "gif" else "yuv420p"
            draw_video(path, times, codec, options.items(), pix_fmt=form)
        return path

    return draw


@pytest.mark.parametrize("rate", [1.0, 0.4, 2.5])
@pytest.mark.parametrize("name", CASES)
def test_each_frame_is_the_last_that_is_not_later(name, rate, drawn):
    video = VideoFile(drawn(name), VideoSettings(frames_per_second=rate))
    frames = video.frames(range(video.num_frames), (SIZE, SIZE))
    expected = expected_numbers(list(CASES[name][0]), rate)
    assert [number_in(frame) for frame in frames] == expected


@pytest.mark.parametrize("name", CASES)
def test_a_few_frames_are_those_of_all_bit_for_bit(name, drawn):
    video = VideoFile(drawn(name), VideoSettings())
    every = list(video.frames(range(video.num_frames), (20, 24)))
    for numbers in (range(3, len(every), 10), [len(every) - 1], [0], []):
        few = list(video.frames(numbers, (20, 24)))
        assert len(few) == len(numbers)
        for number, frame in zip(numbers, few, strict=True):
            np.testing.assert_array_equal(frame, every[number])


@pytest.mark.parametrize("name", CASES)
def test_frames_are_those_of_decoding_everything_bit_for_bit(name, drawn):
    av = pytest.importorskip("av", reason="comes with the extra video")
    with av.open(str(drawn(name))) as container:
        decoded = sorted(container.decode(video=0), key=lambda f: f.pts)
        numbers = expected_numbers(list(CASES[name][0]))
        expected = [
            decoded[number]
            .reformat(24, 20, "rgb24", interpolation="BILINEAR")
            .to_ndarray()
            for number in numbers
        ]
    video = VideoFile(drawn(name), VideoSettings())
    found = list(video.frames(range(video.num_frames), (20, 24)))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["steady.mp4", "pyramid.mp4"])
def test_frames_that_no_other_needs_are_not_decoded(name, drawn, tmp_path):
    av = pytest.importorskip("av", reason="comes with the extra video")
    whole = drawn(name)
    video = VideoFile(whole, VideoSettings())
    wanted = set(video._timeline.times_of(range(video.num_frames), 1.0))
    contents = bytearray(whole.read_bytes())
    num_damaged = 0
    with av.open(str(whole)) as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pts not in wanted:
                start, end = spare_slice(packet)
                contents[packet.pos + start : packet.pos + end] = bytes(
                    end - start
                )
                num_damaged += start < end
    damaged = tmp_path / name
    damaged.write_bytes(contents)
    assert num_damaged > 100
    few = [0, 3, video.num_frames - 1]
    for numbers in (few, range(video.num_frames)):
        np.testing.assert_array_equal(
            list(VideoFile(damaged, VideoSettings()).frames(numbers, (20, 24))),
            list(video.frames(numbers, (20, 24))),
        )


def spare_slice(packet):
    """Returns where H.264 data lie of a frame that no other is made from."""
    contents, place = bytes(packet), 0
    while place < len(contents):
        end = place + 4 + int.from_bytes(contents[place : place + 4], "big")
        head = contents[place + 4]
        if head & 31 in (1, 5):
            return (end, end) if head >> 5 & 3 else (place + 5, end)
        place = end
    raise AssertionError("a packet without a slice")


def test_what_lies_before_a_key_frame_is_not_decoded(drawn, tmp_path):
    av = pytest.importorskip("av", reason="comes with the extra video")
    whole = drawn("steady.mp4")
    with av.open(str(whole)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        keys = [
            p.pos
            for p in packets
            if p.is_keyframe and p.pts * p.time_base <= 19
        ]
    assert len(keys) > 3
    key = keys[-1]
    contents = bytearray(whole.read_bytes())
    for packet in packets:
        if packet.pos < key:
            end = packet.pos + packet.size
            contents[packet.pos : end] = bytes(packet.size)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(contents)
    video = VideoFile(damaged, VideoSettings())
    (frame,) = video.frames([19], (SIZE, SIZE))
    assert number_in(frame) == 475
    with pytest.raises(BadVideoError, match=r"FFmpeg: Invalid data|decoded"):
        list(video.frames([5], (SIZE, SIZE)))


def test_a_turned_video_is_shown_upright(tmp_path):
    path = draw_video(
        tmp_path / "a.mp4", STEADY[:50], options={"g": "9"}.items()
    )
    turn_right(path)
    video = VideoFile(path, VideoSettings())
    first, second = video.frames([0, 1], (48, 32))
    assert first.shape == (48, 32, 3)
    assert number_in(np.rot90(second)) == 25
    assert number_in(second) != 25
    assert number_in(picture_of(25)) == 25


def test_frames_have_their_own_size_where_none_is_asked_for(tmp_path):
    path = draw_video(
        tmp_path / "a.mp4", STEADY[:50], options={"g": "9"}.items(), width=96
    )
    (ahead,) = VideoFile(path, VideoSettings()).frames([1], None)
    turn_right(path)
    (turned,) = VideoFile(path, VideoSettings()).frames([1], None)
    assert ahead.shape == (SIZE, 96, 3)
    np.testing.assert_array_equal(np.rot90(turned), ahead)
    assert number_in(ahead) == 25


@pytest.mark.slow
def test_three_hours_need_no_more_memory_than_a_minute(tmp_path):
    times = np.cumsum(RATES.choices([300, 400, 500, 800], k=21_600)).tolist()
    path = draw_video(
        tmp_path / "long.mp4", times, options={"g": "25", "bf": "2"}.items()
    )
    assert 10_700 < (times[-1] - times[0]) / 1000 < 10_900
    settings = VideoSettings(max_decode_bytes=2**28)
    expected = expected_numbers(times)
    with DecodingProcess(settings) as process, process.open(path) as video:
        assert video.info.num_frames == len(expected)
        few = range(0, len(expected), 360)
        found = [number_in(f) for f in video.frames(few, (SIZE, SIZE))]
        assert found == [expected[number] for number in few]
        with memory_grows_by_at_most(2**25):
            frames = video.frames(range(len(expected)), (SIZE, SIZE))
            found = [number_in(frame) for frame in frames]
    assert found == expected


def test_packets_without_order_give_a_rising_timeline():
    line = Timeline.of_packets([4, 0, 2, 2, 6], [4, 0], Fraction(1, 2))
    assert (line.times.tolist(), line.keys.tolist()) == ([0, 2, 4, 6], [0, 4])
    assert (line.seconds, line.count(1), line.count(0.5)) == (3, 4, 2)
    assert line.times_of([0, 1, 3], 1) == [0, 2, 6]
    assert [line.key_before(t) for t in (-1, 0, 3, 4, 9)] == [None, 0, 0, 4, 4]
    with pytest.raises(IndexError, match="There are 4 frames, not 4"):
        line.times_of([4], 1)
    with pytest.raises(ValueError, match="no frame"):
        Timeline.of_packets([], [], Fraction(1, 2))


def test_a_rate_is_the_fraction_that_it_stands_for():
    # 0.1 as a float is a little more, and frame 10 would come too late.
    line = Timeline.of_packets(range(0, 100_001, 100), [0], Fraction(1, 1000))
    assert line.count(0.1) == 11
    assert line.times_of(range(11), 0.1) == list(range(0, 100_001, 10_000))

"""Videos that cannot be read, or are beyond the limits, are named."""

import dataclasses
import os
import signal
import threading

import numpy as np
import pytest

from distill.settings.video import BadVideoError, VideoSettings
from distill.video.decoder import VideoFile
from distill.video.decoding_process import DecodingProcess
from tests.video.drawn_videos import SIZE, draw_video, number_in

STEADY = range(0, 4_000, 40)
WAVE = np.zeros(4 * 16_000)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Returns a video of four seconds, with sound."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    return draw_video(path, STEADY, options={"g": "12"}.items(), sound=WAVE)


@pytest.fixture(scope="module")
def process():
    """Returns a process that has decoded other videos before."""
    pytest.importorskip("av", reason="comes with the extra video")
    with DecodingProcess(VideoSettings()) as started:
        yield started


def frames_of(process, path):
    with process.open(path) as opened:
        numbers = range(opened.info.num_frames)
        frames = [*opened.frames(numbers, (SIZE, SIZE))]
        sound = [*opened.sound(2)]
    return np.stack(frames), np.concatenate(sound)


def test_the_process_decodes_as_the_caller_would(video, process):
    own = VideoFile(video, VideoSettings())
    frames, sound = frames_of(process, video)
    assert [number_in(frame) for frame in frames] == [0, 25, 50, 75]
    expected = list(own.frames(range(4), (SIZE, SIZE)))
    np.testing.assert_array_equal(frames, expected)
    np.testing.assert_array_equal(sound, np.concatenate(list(own.sound(2))))


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"max_video_bytes": 999}, "more than 999 bytes"),
        ({"max_video_seconds": 3.5}, "it has 4 seconds, more than 4"),
        ({"max_video_pixels": 4_095}, "4,096 pixels, more than 4,095"),
        ({"max_video_streams": 1}, "it has 2 streams, more than 1"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(limit, words, video):
    settings = dataclasses.replace(VideoSettings(), **limit)
    with DecodingProcess(settings) as process:
        with pytest.raises(BadVideoError, match=words) as error:
            frames_of(process, video)
        assert str(error.value).startswith(f"{video}: ")


def playlist(path):
    path.write_text("#EXTM3U\n#EXTINF:9,\nfile:///etc/hostname\n")


def picture_list(path):
    path.write_text("ffconcat version 1.0\nfile '/etc/hostname'\n")


def sound_alone(path):
    av = pytest.importorskip("av", reason="comes with the extra video")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            WAVE.astype(np.float32)[None], "fltp", "mono"
        )
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.mp4", lambda path: path.write_bytes(b""), "Invalid data"),
        ("a.mp4", lambda path: path.write_bytes(os.urandom(5_000)), "FFmpeg:"),
        ("a.m3u8", playlist, "FFmpeg: Invalid"),
        ("a.txt", picture_list, "FFmpeg: Invalid"),
        ("a.m4a", sound_alone, "it has no video stream"),
        ("a.mp4", lambda path: path.mkdir(), "directory"),
    ],
)
def test_what_is_no_video_is_named(name, write, words, process, tmp_path):
    path = tmp_path / name
    write(path)
    with pytest.raises(BadVideoError, match=words) as error:
        frames_of(process, path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_an_error_of_its_own(process, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no .*none\.mp4"):
        frames_of(process, tmp_path / "none.mp4")


@pytest.mark.parametrize("suffix", ["mkv", "flv"])
def test_a_cut_video_is_named(suffix, process, tmp_path):
    path = tmp_path / f"a.{suffix}"
    draw_video(path, STEADY, options={"g": "12"}.items())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadVideoError, match="it is cut: it ends after") as e:
        frames_of(process, path)
    assert "of 4.0 seconds" in str(e.value)


def test_what_takes_too_long_is_given_up(video, tmp_path):
    settings = VideoSettings(max_decode_seconds=0.5)
    with DecodingProcess(settings) as process:
        process._start()
        os.kill(process._process.pid, signal.SIGSTOP)
        with pytest.raises(BadVideoError, match=r"not decoded in 0\.5 seconds"):
            frames_of(process, video)


def test_a_crash_is_an_error_and_the_next_video_is_read(video):
    with DecodingProcess(VideoSettings()) as process:
        with process.open(video) as opened:
            os.kill(process._process.pid, signal.SIGSEGV)
            with pytest.raises(BadVideoError, match="SIGSEGV") as error:
                list(opened.frames([0, 1], (SIZE, SIZE)))
        assert str(error.value).startswith(f"{video}: it ended the decoding")
        assert len(frames_of(process, video)[0]) == 4


def test_an_answer_that_is_not_read_to_its_end_is_forgotten(video, process):
    with process.open(video) as opened:
        first = next(opened.frames(range(4), (SIZE, SIZE)))
    assert number_in(first) == 0
    assert len(frames_of(process, video)[0]) == 4


@pytest.mark.slow
def test_memory_is_limited(tmp_path):
    path = tmp_path / "a.mp4"
    av = pytest.importorskip("av", reason="comes with the extra video")
    side = 8_192
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "bf": "0"}
        stream = container.add_stream("libx264", rate=1, options=options)
        stream.width = stream.height = side
        grey = np.zeros((side, side, 3), np.uint8)
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(grey, "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    settings = VideoSettings(
        max_video_pixels=side * side, max_decode_bytes=2**29
    )
    with (
        DecodingProcess(settings) as process,
        pytest.raises(BadVideoError, match="FFmpeg: ") as e,
    ):
        frames_of(process, path)
    assert str(e.value).startswith(f"{path}: ")


def test_several_processes_work_side_by_side(video):
    found = []

    def decode():
        with DecodingProcess(VideoSettings()) as process:
            found.append(frames_of(process, video)[0])

    threads = [threading.Thread(target=decode) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(*found)

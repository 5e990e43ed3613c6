"""The sound of a video: mono, 16 kHz, from the first frame on."""

import numpy as np
import pytest

from distill.settings.video import VideoSettings
from distill.video.decoder import SOUND_RATE, VideoFile
from tests.video.drawn_videos import draw_video

STEADY = range(0, 3_000, 40)
WAVE = (np.arange(3 * SOUND_RATE) % 400 - 200) / 256


def sound_of(path, seconds):
    blocks = list(VideoFile(path, VideoSettings()).sound(seconds))
    return np.concatenate(blocks) if blocks else np.zeros(0)


def test_samples_are_those_of_the_file(tmp_path):
    path = tmp_path / "a.mkv"
    draw_video(path, STEADY, sound=WAVE, sound_codec="pcm_s16le")
    found = sound_of(path, 10)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, WAVE, atol=1 / 2**15)
    np.testing.assert_array_equal(sound_of(path, 0.5), found[:8_000])


def test_sound_begins_with_the_first_frame(tmp_path):
    # The first frame is shown a quarter of a second after the first sample.
    early = tmp_path / "early.mkv"
    later = [time + 250 for time in STEADY]
    draw_video(early, later, sound=WAVE, sound_codec="pcm_s16le")
    expected = WAVE[SOUND_RATE // 4 :]
    np.testing.assert_allclose(sound_of(early, 9), expected, atol=1 / 2**15)
    # The first sample is heard half a second after the first frame.
    late = tmp_path / "late.mkv"
    draw_video(
        late, STEADY, sound=WAVE, sound_codec="pcm_s16le", sound_start=0.5
    )
    found = sound_of(late, 9)
    assert not found[: SOUND_RATE // 2].any()
    np.testing.assert_allclose(found[SOUND_RATE // 2 :], WAVE, atol=1 / 2**15)


def test_compressed_sound_keeps_its_place(tmp_path):
    path = tmp_path / "a.mp4"
    rng = np.random.default_rng(0)
    noise = np.convolve(rng.normal(size=3 * SOUND_RATE), np.ones(40) / 100)
    draw_video(path, STEADY, sound=noise[: 3 * SOUND_RATE])
    found = sound_of(path, 9)[: len(WAVE)]
    expected = noise[: len(found)]
    shifts = range(-200, 201)
    match = [np.dot(np.roll(found, n), expected) for n in shifts]
    assert shifts[int(np.argmax(match))] == 0
    assert np.corrcoef(found, expected)[0, 1] > 0.9


def test_a_video_without_sound_yields_none(tmp_path):
    path = draw_video(tmp_path / "a.mp4", STEADY)
    video = VideoFile(path, VideoSettings())
    assert not video.has_sound
    assert list(video.sound(3)) == []


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_rates_and_channels_are_resampled(rate, tmp_path):
    path = tmp_path / "a.mkv"
    time = np.arange(2 * rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    draw_video(
        path,
        STEADY,
        sound=np.stack([tone, np.zeros_like(tone)]),
        sound_codec="pcm_s16le",
        sound_rate=rate,
    )
    found = sound_of(path, 9)
    assert abs(len(found) - 2 * SOUND_RATE) < 20
    middle = found[4_000:28_000]
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * SOUND_RATE / len(middle) == 440
    assert np.sqrt(2) * np.std(middle) == pytest.approx(0.25, rel=0.02)

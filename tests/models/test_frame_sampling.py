"""Frames drawn at random: which, when, and that padding is not drawn."""

import keras
import numpy as np
import pytest

from distill.models.frame_sampling import SampleFrames
from tests.layer_checks import check_any_batch_size, check_config

LENGTHS = np.array([0, 1, 2, 5, 9], np.int32)
MAX_FRAMES = 9


def make_frames():
    """Returns frames that hold video and position; padding is -1."""
    num_videos = len(LENGTHS)
    frames = np.zeros((num_videos, MAX_FRAMES, 2), np.float32)
    frames[:, :, 0] = np.arange(num_videos)[:, None]
    frames[:, :, 1] = np.arange(MAX_FRAMES)[None, :]
    for video, length in zip(frames, LENGTHS, strict=True):
        video[length:] = -1
    return frames


def draw(times=1, **arguments):
    """Returns positions `[times, videos, sample_frames]` and num_frames."""
    layer = SampleFrames(**arguments)
    copies = np.tile(make_frames(), (times, 1, 1))
    drawn, num_frames = layer(copies, np.tile(LENGTHS, times), training=True)
    shape = (times, len(LENGTHS), layer.sample_frames, 2)
    frames = np.reshape(drawn, shape)
    for video in range(1, len(LENGTHS)):
        np.testing.assert_array_equal(frames[:, video, :, 0], video)
    return frames[..., 1], np.reshape(num_frames, shape[:2])


@pytest.mark.parametrize("random_frames", [True, False])
def test_sample_frames_keeps_its_arguments_and_serves_any_batch(random_frames):
    check_config(lambda: SampleFrames(4, random_frames, True, seed=3))
    check_any_batch_size(SampleFrames(0), (make_frames(), LENGTHS))


@pytest.mark.parametrize("random_frames", [True, False])
@pytest.mark.parametrize("sample_frames", [1, 4, 12])
def test_real_frames_alone_are_drawn_in_time_order(
    sample_frames, random_frames
):
    positions, counts = draw(
        times=50,
        sample_frames=sample_frames,
        sample_random_frames=random_frames,
    )
    assert np.all(np.diff(positions, axis=-1) >= 0)
    for video, length in enumerate(LENGTHS):
        expected = sample_frames if length > 0 else 0
        assert np.all(counts[:, video] == expected)
        if length > 0:
            seen = positions[:, video]
            assert seen.min() >= 0
            assert seen.max() <= length - 1


def test_random_frames_are_drawn_evenly_and_with_replacement():
    positions, _ = draw(times=2000, sample_frames=3)
    rates = np.bincount(positions[:, 4].astype(int).ravel(), minlength=9)
    np.testing.assert_allclose(rates / 6000, 1 / 9, atol=0.015)
    repeated = np.any(np.diff(positions[:, 4], axis=-1) == 0, axis=-1)
    # 1 - 9 * 8 * 7 / 9^3 of the draws hold a frame twice.
    assert repeated.mean() == pytest.approx(1 - 8 * 7 / 81, abs=0.04)


def test_a_run_is_consecutive_and_starts_anywhere_it_fits():
    positions, _ = draw(times=600, sample_frames=4, sample_random_frames=False)
    long = positions[:, 4]
    np.testing.assert_array_equal(np.diff(long, axis=-1), 1)
    rates = np.bincount(long[:, 0].astype(int), minlength=6) / 600
    np.testing.assert_allclose(rates, 1 / 6, atol=0.06)


def test_a_run_of_a_short_video_repeats_its_last_frame():
    positions, _ = draw(sample_frames=4, sample_random_frames=False)
    np.testing.assert_array_equal(positions[0, 1], [0, 0, 0, 0])
    np.testing.assert_array_equal(positions[0, 2], [0, 1, 1, 1])


@pytest.mark.parametrize(
    ("arguments", "training"),
    [
        ({"sample_frames": 0}, True),
        ({"sample_frames": 0, "sample_at_evaluation": True}, False),
        ({"sample_frames": 4}, False),
    ],
)
def test_otherwise_all_frames_pass_through(arguments, training):
    frames, num_frames = SampleFrames(**arguments)(
        make_frames(), LENGTHS, training=training
    )
    np.testing.assert_array_equal(frames, make_frames())
    np.testing.assert_array_equal(num_frames, LENGTHS)


def test_frames_are_drawn_at_evaluation_if_asked():
    layer = SampleFrames(4, sample_at_evaluation=True)
    frames, num_frames = layer(make_frames(), LENGTHS)
    assert frames.shape == (5, 4, 2)
    np.testing.assert_array_equal(num_frames, [0, 4, 4, 4, 4])
    assert layer.num_read(300) == 4
    assert SampleFrames(4).num_read(300) == 300


def test_a_seed_fixes_the_draws_and_every_call_draws_anew():
    first, _ = draw(times=2, sample_frames=8, seed=1)
    again, _ = draw(times=2, sample_frames=8, seed=1)
    other, _ = draw(times=2, sample_frames=8, seed=2)
    np.testing.assert_array_equal(first, again)
    assert np.any(first[0] != first[1])
    assert np.any(first != other)


def test_the_output_s_length_is_known_before_the_call():
    frames = keras.Input((MAX_FRAMES, 2))
    num_frames = keras.Input((), dtype="int32")
    drawn, _ = SampleFrames(4)(frames, num_frames, training=True)
    assert drawn.shape == (None, 4, 2)


def test_a_negative_number_of_frames_is_an_error():
    with pytest.raises(
        ValueError, match=r"^sample_frames must be 0 or more, got -1\.$"
    ):
        SampleFrames(-1)

"""Masks, means and maxima of real frames."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.models.fixed_shapes import fixed_shapes
from distill.models.frame_mask import (
    average_frames,
    frame_mask,
    leave_out_padding,
    maximum_over_frames,
    zero_padding,
)
from tests.videos import make_videos, real_frames


def make_values(dtype="float32"):
    values = np.arange(3 * 4 * 2, dtype=dtype).reshape(3, 4, 2)
    return values, np.array([0, 1, 4], np.int32)


def test_frames_before_num_frames_are_real():
    frames, num_frames = make_values()
    np.testing.assert_array_equal(
        frame_mask(frames, num_frames),
        [[False] * 4, [True, False, False, False], [True] * 4],
    )


def test_padding_becomes_zeros_even_where_it_is_not_a_number():
    values, num_frames = make_values()
    mask = np.asarray(frame_mask(values, num_frames))
    dirty = np.where(mask[:, :, None], values, np.float32("nan"))
    zeroed = np.asarray(zero_padding(dirty, mask))
    np.testing.assert_array_equal(zeroed[mask], values[mask])
    np.testing.assert_array_equal(zeroed[~mask], 0)


@pytest.mark.parametrize(
    ("lengths", "left"),
    [([0, 10], 10), ([3, 11], 20), ([25, 1], 25), ([0, 0], 10), ([], 10)],
)
def test_padding_behind_the_longest_video_is_left_out(lengths, left):
    frames = np.arange(len(lengths) * 25 * 2.0).reshape(-1, 25, 2)
    num_frames = np.array(lengths, np.int32)
    cut = tf.function(leave_out_padding, reduce_retracing=True)
    for function in (leave_out_padding, cut):
        found = function(tf.constant(frames), tf.constant(num_frames))
        np.testing.assert_array_equal(found, frames[:, :left])


def test_where_shapes_are_fixed_all_frames_stay(monkeypatch):
    frames, num_frames = np.ones((2, 25, 3)), np.array([1, 2])
    with fixed_shapes():
        assert leave_out_padding(frames, num_frames).shape[1] == 25
    assert leave_out_padding(frames, num_frames).shape[1] == 10
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert leave_out_padding(frames, num_frames).shape[1] == 25


def test_without_a_mask_all_frames_count():
    values, _ = make_values()
    np.testing.assert_array_equal(zero_padding(values, None), values)
    np.testing.assert_allclose(average_frames(values, None), values.mean(1))


def test_the_average_is_that_of_the_real_frames():
    values, num_frames = make_values()
    mask = frame_mask(values, num_frames)
    expected = [np.zeros(2), values[1, 0], values[2].mean(0)]
    np.testing.assert_allclose(average_frames(values, mask), expected)


def test_averages_of_float16_do_not_overflow():
    values = np.full((1, 300, 2), 1000, np.float16)
    mask = np.ones((1, 300), bool)
    average = average_frames(values, mask)
    assert average.dtype == "float16"
    np.testing.assert_array_equal(average, [[1000, 1000]])


def test_the_maximum_is_that_of_the_real_frames_and_zero_of_none():
    videos = make_videos(5, 3)
    videos["frames"] -= 10.0
    mask = frame_mask(videos["frames"], videos["num_frames"])
    maximum = maximum_over_frames(videos["frames"], mask)
    expected = [frames.max(axis=0) for frames in real_frames(videos)[1:]]
    np.testing.assert_allclose(maximum[1:], expected, atol=1e-6)
    np.testing.assert_array_equal(maximum[0], np.zeros(3))

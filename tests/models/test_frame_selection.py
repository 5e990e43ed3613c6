"""Frame budgets against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from models.frame_selection import num_selected, select_every_n

MAX_FRAMES = 11


def make_inputs():
    num_frames = np.arange(MAX_FRAMES + 1, dtype=np.int32)
    shape = (MAX_FRAMES + 1, MAX_FRAMES, 2)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return {"frames": frames, "num_frames": num_frames}


@pytest.mark.parametrize("every_n", [1, 2, 3, 5, 10, 11, 20])
@pytest.mark.parametrize("traced", [False, True])
def test_every_n_keeps_frames_0_n_2n_and_floors_num_frames(every_n, traced):
    inputs = make_inputs()
    select = tf.function(select_every_n) if traced else select_every_n
    outputs = select(inputs, every_n)
    kept = [frame for frame in range(MAX_FRAMES) if frame % every_n == 0]
    np.testing.assert_array_equal(outputs["frames"], inputs["frames"][:, kept])
    expected = [
        0 if count == 0 else max(count // every_n, 1)
        for count in inputs["num_frames"]
    ]
    np.testing.assert_array_equal(outputs["num_frames"], expected)


@pytest.mark.parametrize("every_n", [1, 2, 3, 10, 11, 20])
def test_the_frames_counted_are_those_kept_of_a_real_video(every_n):
    inputs = make_inputs()
    outputs = select_every_n(inputs, every_n)
    assert outputs["frames"].shape[1] == num_selected(MAX_FRAMES, every_n)
    # Every frame that counts lies before the video's end.
    last = (np.asarray(outputs["num_frames"]) - 1) * every_n
    assert np.all(last < np.maximum(inputs["num_frames"], 1))


@pytest.mark.parametrize(
    ("max_frames", "every_n", "expected"),
    [(300, 1, 300), (300, 10, 30), (300, 30, 10), (301, 10, 31), (5, 10, 1)],
)
def test_num_selected_rounds_up(max_frames, every_n, expected):
    assert num_selected(max_frames, every_n) == expected


def test_video_level_features_pass_untouched():
    inputs = {"features": np.ones((2, 3), np.float32)}
    assert select_every_n(inputs, 10) is inputs

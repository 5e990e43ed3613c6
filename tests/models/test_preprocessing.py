"""Preprocessing against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from distill.models.preprocessing import dequantize, l2_normalize, preprocess
from distill.models.quantisation import quantize


def make_inputs():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, 5, 6), dtype=np.uint8)
    return {"frames": frames, "num_frames": np.array([5, 3, 1, 0], np.int32)}


def expected_frames(inputs):
    """Dequantises, concatenates and normalises frame by frame."""
    frames = np.zeros(inputs["frames"].shape)
    for video, count in enumerate(inputs["num_frames"]):
        for position in range(count):
            frame = inputs["frames"][video, position] * (4 / 255)
            frame = frame + 4 / 512 - 2
            frames[video, position] = frame / np.linalg.norm(frame)
    return frames


def test_dequantize_is_the_starter_code_s_formula():
    values = np.arange(256, dtype=np.uint8)
    floats = np.asarray(dequantize(values))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(
        floats, np.arange(256) * 4 / 255 + 4 / 512 - 2, atol=1e-6
    )
    assert floats[0] == pytest.approx(-1.9922, abs=1e-4)
    assert floats[255] == pytest.approx(2.0078, abs=1e-4)


def test_a_range_of_bytes_is_read_at_the_middle_of_a_512th():
    floats = np.asarray(dequantize(np.array([0, 255], np.uint8), (-1.0, 7.0)))
    np.testing.assert_allclose(floats, [-1 + 8 / 512, 7 + 8 / 512], atol=1e-6)


@pytest.mark.parametrize(("least", "most"), [(-2.0, 2.0), (0.0, 0.5)])
def test_quantize_returns_the_byte_that_is_read_as_the_nearest_number(
    least, most
):
    span = most - least
    values = np.linspace(least - span / 9, most + span / 9, 1001)
    numbers = np.arange(256) * span / 255 + span / 512 + least
    nearest = np.abs(values[:, None] - numbers).argmin(axis=1)
    found = quantize(values, least, most)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, nearest)
    read = np.asarray(dequantize(np.arange(256, dtype=np.uint8), (least, most)))
    np.testing.assert_array_equal(quantize(read, least, most), np.arange(256))


def test_real_frames_are_dequantised_and_normalised_as_one_vector():
    """Eagerly and, in one graph for any batch size, traced."""
    inputs = make_inputs()
    traced = tf.function(
        preprocess,
        input_signature=[
            {
                "frames": tf.TensorSpec([None, 5, 6], tf.uint8),
                "num_frames": tf.TensorSpec([None], tf.int32),
            }
        ],
    )
    for size in (1, 4):
        some = {key: value[:size] for key, value in inputs.items()}
        expected = expected_frames(some)
        for outputs in (traced(some), preprocess(some)):
            frames = np.asarray(outputs["frames"])
            np.testing.assert_allclose(frames, expected, atol=1e-6)
            assert not frames[expected == 0].any()
            np.testing.assert_array_equal(
                outputs["num_frames"], some["num_frames"]
            )


def test_video_level_features_are_normalised_as_they_are():
    features = np.array([[3.0, 4.0], [0.0, 0.5]], np.float32)
    outputs = preprocess({"features": features})
    assert set(outputs) == {"features"}
    np.testing.assert_allclose(
        outputs["features"], [[0.6, 0.8], [0.0, 1.0]], atol=1e-6
    )


def test_a_vector_of_zeros_stays_zeros():
    zeros = np.zeros((2, 3), np.float32)
    np.testing.assert_array_equal(l2_normalize(zeros), zeros)

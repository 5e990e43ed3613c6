"""Batch statistics of real frames, against NumPy and Keras's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.models.frame_moments import frame_moments
from distill.models.keras_private import replace_moments
from distill.models.netvlad import NetVladModel
from tests.videos import make_model


def make_frames():
    """Returns float32 `[4, 5, 3]` far from 0, and the mask of real frames."""
    rng = np.random.default_rng(0)
    frames = rng.normal(20, [0.5, 1, 30], (4, 5, 3)).astype(np.float32)
    return frames, np.arange(5)[None] < np.array([[5], [0], [2], [3]])


def test_moments_are_those_of_the_real_frames():
    frames, mask = make_frames()
    mean, variance = frame_moments(
        tf.constant(frames), tf.constant(mask), axes=[0, 1]
    )
    real = frames[mask].astype(np.float64)
    np.testing.assert_allclose(mean, real.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, real.var(axis=0), rtol=1e-5)


def test_without_a_mask_every_frame_counts():
    frames, _ = make_frames()
    mean, variance = frame_moments(tf.constant(frames), None, axes=[0, 1])
    rows = frames.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, rows.var(axis=0), rtol=1e-4)


def test_padding_alone_gives_zeros():
    frames, mask = make_frames()
    for moment in frame_moments(tf.constant(frames), mask & False, [0, 1]):
        np.testing.assert_array_equal(moment, np.zeros(3))


@pytest.mark.parametrize("shape", ["frames", "vectors"])
def test_a_batch_norm_trains_as_keras_s_own(shape):
    frames, mask = make_frames()
    if shape == "vectors":
        frames, mask = frames[:, 0], None
    results = []
    for is_ours in (True, False):
        norm = keras.layers.BatchNormalization()
        if is_ours:
            replace_moments(norm, frame_moments)
        inputs = tf.Variable(frames)
        with tf.GradientTape() as tape:
            outputs = norm(inputs, mask=mask, training=True)
            if mask is not None:
                outputs = tf.where(mask[..., None], outputs, 0.0)
            weights = tf.range(tf.size(outputs), dtype=tf.float32)
            total = tf.reduce_sum(tf.reshape(outputs, [-1]) ** 3 * weights)
        gradients = tape.gradient(total, [inputs, *norm.trainable_variables])
        results.append([outputs, *gradients, *norm.non_trainable_variables])
    for ours, expected in zip(*results, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * scale)


def test_the_batch_norms_of_a_model_take_them(monkeypatch):
    asked = []

    def note(inputs, mask, axes):
        asked.append(mask is not None)
        return frame_moments(inputs, mask, axes)

    monkeypatch.setattr("distill.models.video_model.frame_moments", note)
    model = make_model(NetVladModel, feature_sizes=(3,), cluster_size=2)
    frames, mask = make_frames()
    model({"frames": frames, "num_frames": mask.sum(axis=1)}, training=True)
    # The inputs' and the assignment's norms know the padding; gates have none.
    assert asked == [True, True, False]

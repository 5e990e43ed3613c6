"""Videos mixed with others of their batch, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from distill.training.mixup import draw_mixing_weights, mix, mix_videos
from tests.training import numpy_distiller

ALPHA = 0.4


def draw_videos(batch_size=7):
    """Returns padded videos, of which each is of a class of its own."""
    random = np.random.default_rng(0)
    num_frames = random.integers(1, 6, batch_size, dtype=np.int32)
    frames = random.normal(size=(batch_size, 5, 3)).astype(np.float32)
    frames[np.arange(5) >= num_frames[:, None]] = 0
    inputs = {"frames": tf.constant(frames), "num_frames": num_frames}
    return inputs, np.eye(batch_size, dtype=np.float32)


def mix_drawn(inputs, labels, alpha, seed):
    """Mixes by weights drawn from a seed."""
    weights = draw_mixing_weights(len(labels), alpha, seed)
    return mix_videos(inputs, weights), mix(labels, weights)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
@pytest.mark.parametrize("traced", [False, True])
def test_frames_and_labels_are_mixed_by_the_same_share(batch_size, traced):
    inputs, labels = draw_videos(batch_size)
    call = tf.function(mix_drawn) if traced else mix_drawn
    mixed, found = call(inputs, labels, ALPHA, [3, 1])
    weights = np.diag(found)
    if batch_size % 2:
        # The video in the middle meets itself.
        assert weights[batch_size // 2] == pytest.approx(1)
    assert (weights >= 0.5).all()
    assert (weights <= 1).all()
    assert set(mixed) == {"frames", "num_frames"}
    np.testing.assert_allclose(
        found, numpy_distiller.mix(labels, weights), atol=1e-6
    )
    np.testing.assert_allclose(found.numpy().sum(axis=1), 1, rtol=1e-6)
    # Each video has another weight.
    assert len(np.unique(weights)) == batch_size
    np.testing.assert_allclose(
        mixed["frames"],
        numpy_distiller.mix(inputs["frames"].numpy(), weights),
        atol=1e-6,
    )


def test_a_mixed_video_is_as_long_as_the_longer_of_the_two():
    inputs, labels = draw_videos()
    num_frames = inputs["num_frames"]
    mixed, _ = mix_drawn(inputs, labels, ALPHA, [0, 0])
    expected = np.maximum(num_frames, num_frames[::-1])
    np.testing.assert_array_equal(mixed["num_frames"], expected)
    # It has its own frames, its partner's, and padding behind both.
    real = np.abs(mixed["frames"]).sum(axis=2) > 0
    np.testing.assert_array_equal(real.sum(axis=1), expected)


def test_vectors_of_videos_are_mixed():
    features = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    labels = np.eye(4, dtype=np.float32)
    inputs = {"features": tf.constant(features)}
    mixed, found = mix_drawn(inputs, labels, ALPHA, [0, 0])
    np.testing.assert_allclose(
        mixed["features"],
        numpy_distiller.mix(features, np.diag(found)),
        atol=1e-6,
    )
    assert set(mixed) == {"features"}
    np.testing.assert_array_equal(inputs["features"], features)


def test_the_seed_alone_decides():
    inputs, labels = draw_videos()
    found = [
        mix_drawn(inputs, labels, ALPHA, seed)[1].numpy()
        for seed in ([1, 2], [1, 2], [2, 1], [1, 3])
    ]
    np.testing.assert_array_equal(found[0], found[1])
    for other in found[2:]:
        assert np.abs(other - found[0]).max() > 1e-3


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_are_those_of_a_beta_distribution(alpha):
    """Its variance is 1 / (4 (2 alpha + 1))."""
    labels = tf.reshape(tf.tile([1.0, 0.0], [10000]), [20000, 1])
    inputs = {"features": tf.zeros([20000, 1])}
    _, mixed = mix_drawn(inputs, labels, alpha, [4, 2])
    deviations = mixed.numpy() - 0.5
    expected = 1 / (4 * (2 * alpha + 1))
    assert np.mean(deviations**2) == pytest.approx(expected, rel=0.05)
    if alpha == 1:
        # Uniform: the quarters of [0.5, 1] hold as many.
        counts, _ = np.histogram(np.abs(deviations), 4, range=(0, 0.5))
        assert np.abs(counts - 5000).max() < 350


def test_hardly_any_spread_leaves_each_video_as_it_is():
    inputs, labels = draw_videos()
    mixed, found = mix_drawn(inputs, labels, 1e-6, [0, 0])
    np.testing.assert_allclose(found, labels, atol=1e-6)
    np.testing.assert_allclose(mixed["frames"], inputs["frames"], atol=1e-6)

"""The switched batch normalisation against NumPy."""

import numpy as np

from distill.models.input_norm import InputNorm
from tests.layer_checks import check_layer, randomise_weights

RANDOM = np.random.default_rng(3)
FRAMES = RANDOM.normal(2, 3, (5, 4, 3)).astype(np.float32)
REAL = np.arange(4) < np.array([4, 1, 0, 3, 2])[:, None]


def test_input_norm_passes_the_layer_checks():
    check_layer(
        lambda: InputNorm(True),
        lambda batch_size: (FRAMES[:batch_size],),
    )


def test_batch_statistics_are_those_of_the_real_frames():
    layer = InputNorm(True)
    outputs = layer(FRAMES, REAL, training=True)
    mean, variance = FRAMES[REAL].mean(0), FRAMES[REAL].var(0)
    expected = (FRAMES - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_outside_training_the_stored_statistics_count():
    layer = InputNorm(True)
    layer.build(FRAMES.shape)
    randomise_weights(layer)
    gamma, beta, mean, variance = layer.get_weights()
    expected = (FRAMES - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(FRAMES, REAL), expected, atol=1e-5)


def test_turned_off_it_changes_nothing_and_has_no_weights():
    layer = InputNorm(False)
    np.testing.assert_array_equal(layer(FRAMES, REAL, training=True), FRAMES)
    assert layer.weights == []

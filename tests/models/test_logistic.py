"""Logistic regression against NumPy."""

import numpy as np
import pytest

from distill.models.configs import LogisticConfig
from distill.models.logistic import Logistic
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_layers import sigmoid
from tests.videos import make_vectors


def test_logistic_passes_the_layer_checks():
    check_layer(lambda: Logistic(4, LogisticConfig(l2=0.1)), make_vectors)


def test_predictions_are_the_sigmoid_of_a_dense_layer():
    (inputs,) = make_vectors(3)
    layer = Logistic(4)
    layer.build((None, 6))
    randomise_weights(layer)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (6, 4)
    assert bias.shape == (4,)
    expected = sigmoid(inputs.astype(np.float64) @ kernel + bias)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-6)


def test_a_fresh_layer_s_bias_is_zero():
    """Biases start at zero, as the starter code's do."""
    layer = Logistic(4)
    layer.build((None, 6))
    zeros = np.zeros((2, 6), np.float32)
    np.testing.assert_allclose(layer(zeros), 0.5, atol=1e-7)


def test_penalty_is_half_the_squared_sum_of_the_matrix_alone():
    layer = Logistic(4, LogisticConfig(l2=0.1))
    layer.build((None, 6))
    randomise_weights(layer)
    kernel, _ = layer.get_weights()
    (penalty,) = layer.losses
    expected = 0.1 * np.sum(np.square(kernel, dtype=np.float64)) / 2
    assert float(penalty) == pytest.approx(expected, rel=1e-6)

"""Logistic regression against NumPy and the starter code."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from tests.golden import load_golden_model
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_lstm import sigmoid


def make_inputs(batch_size, dim=6):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(batch_size, dim)).astype(np.float32),)


def test_logistic_passes_the_layer_checks():
    check_layer(lambda: Logistic(4, logistic_l2=0.1), make_inputs)


def test_predictions_are_the_sigmoid_of_a_dense_layer():
    (inputs,) = make_inputs(3)
    layer = Logistic(4)
    layer.build((None, 6))
    randomise_weights(layer)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (6, 4) and bias.shape == (4,)
    expected = sigmoid(inputs.astype(np.float64) @ kernel + bias)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-6)


def test_a_fresh_layer_knows_nothing_but_its_matrix():
    """Biases start at zero, as the starter code's do."""
    layer = Logistic(4)
    layer.build((None, 6))
    zeros = np.zeros((2, 6), np.float32)
    np.testing.assert_allclose(layer(zeros), 0.5, atol=1e-7)


def test_penalty_is_half_the_squared_sum_of_the_matrix_alone():
    layer = Logistic(4, logistic_l2=0.1)
    layer.build((None, 6))
    randomise_weights(layer)
    kernel, _ = layer.get_weights()
    (penalty,) = layer.losses
    expected = 0.1 * np.sum(np.square(kernel, dtype=np.float64)) / 2
    assert float(penalty) == pytest.approx(expected, rel=1e-6)


def test_macs_are_one_for_every_entry_of_the_matrix():
    layer = Logistic(4)
    layer.build((None, 6))
    assert layer.macs() == 24


def test_golden_predictions_are_reproduced():
    golden = load_golden_model("logistic")
    layer = Logistic(golden.num_classes)
    layer.build(golden.inputs["features"].shape)
    layer.set_weights(
        [
            golden.weights["fully_connected/weights"],
            golden.weights["fully_connected/biases"],
        ]
    )
    np.testing.assert_allclose(
        layer(golden.inputs["features"]),
        golden.outputs["predictions"],
        rtol=0,
        atol=1e-5,
    )

"""Squeeze-and-excitation gating against NumPy."""

import numpy as np
import pytest

from distill.models.squeeze_excitation import SqueezeExcitation
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_lstm import sigmoid

DIM = 12


def make_inputs(batch_size):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(batch_size, DIM)).astype(np.float32),)


def make_built(reduction):
    layer = SqueezeExcitation(reduction)
    layer.build((None, DIM))
    randomise_weights(layer)
    return layer


def test_squeeze_excitation_passes_the_layer_checks():
    check_layer(lambda: SqueezeExcitation(2), make_inputs)


@pytest.mark.parametrize(("reduction", "narrow"), [(1, 12), (5, 2), (99, 1)])
def test_gates_pass_a_narrow_layer(reduction, narrow):
    (inputs,), layer = make_inputs(3), make_built(reduction)
    squeeze = np.asarray(layer.squeeze_kernel)
    assert squeeze.shape == (DIM, narrow)
    gamma, beta, mean, variance = layer.norm.get_weights()
    squeezed = (inputs @ squeeze - mean) / np.sqrt(variance + 1e-3)
    squeezed = np.maximum(squeezed * gamma + beta, 0)
    gates = sigmoid(squeezed @ np.asarray(layer.excite_kernel))
    np.testing.assert_allclose(layer(inputs), inputs * gates, atol=1e-5)


def test_macs_are_those_of_both_matrices():
    assert make_built(5).macs() == 12 * 2 + 2 * 12


def test_a_reduction_below_one_is_an_error():
    message = r"^gating_reduction must be 1 or more, got 0\.$"
    with pytest.raises(ValueError, match=message):
        SqueezeExcitation(0)

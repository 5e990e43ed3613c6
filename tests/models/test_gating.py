"""Context gating and squeeze-and-excitation against NumPy."""

import numpy as np
import pytest

from distill.models.gating import ContextGating, SqueezeExcitation
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_layers import batch_norm, sigmoid
from tests.videos import make_vectors

DIM = 6
VARIANTS = [
    {},
    {"remove_diagonal": True},
    {"add_batch_norm": False},
    {"remove_diagonal": True, "add_batch_norm": False},
]


def make_built(layer):
    layer.build((None, DIM))
    randomise_weights(layer)
    return layer


@pytest.mark.parametrize("arguments", VARIANTS)
def test_context_gating_passes_the_layer_checks(arguments):
    check_layer(lambda: ContextGating(**arguments), make_vectors)


@pytest.mark.parametrize("arguments", VARIANTS)
def test_every_entry_is_multiplied_by_its_gate(arguments):
    layer = make_built(ContextGating(**arguments))
    (inputs,) = make_vectors(3)
    kernel = np.asarray(layer.kernel, np.float64)
    if layer.remove_diagonal:
        kernel = kernel * (1 - np.eye(DIM))
    gates = inputs @ kernel
    if layer.add_batch_norm:
        gates = batch_norm(gates, layer.norm)
    else:
        gates = gates + np.asarray(layer.bias)
    np.testing.assert_allclose(
        layer(inputs), inputs * sigmoid(gates), atol=1e-6
    )


def test_squeeze_excitation_passes_the_layer_checks():
    check_layer(
        lambda: SqueezeExcitation(2), lambda size: make_vectors(size, 12)
    )


@pytest.mark.parametrize(("reduction", "narrow"), [(1, 6), (4, 1), (99, 1)])
def test_gates_pass_a_narrow_layer(reduction, narrow):
    (inputs,), layer = make_vectors(3), make_built(SqueezeExcitation(reduction))
    squeeze = np.asarray(layer.squeeze_kernel)
    assert squeeze.shape == (DIM, narrow)
    squeezed = np.maximum(batch_norm(inputs @ squeeze, layer.norm), 0)
    gates = sigmoid(squeezed @ np.asarray(layer.excite_kernel))
    np.testing.assert_allclose(layer(inputs), inputs * gates, atol=1e-5)

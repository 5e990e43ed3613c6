"""Context gating against NumPy."""

import numpy as np
import pytest

from distill.models.context_gating import ContextGating
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_lstm import sigmoid
from tests.numpy_pooling import batch_norm

DIM = 4
VARIANTS = [
    {},
    {"remove_diagonal": True},
    {"add_batch_norm": False},
    {"remove_diagonal": True, "add_batch_norm": False},
]


def make_inputs(batch_size):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(batch_size, DIM)).astype(np.float32),)


@pytest.mark.parametrize("arguments", VARIANTS)
def test_context_gating_passes_the_layer_checks(arguments):
    check_layer(lambda: ContextGating(**arguments), make_inputs)


@pytest.mark.parametrize("arguments", VARIANTS)
def test_every_entry_is_multiplied_by_its_gate(arguments):
    layer = ContextGating(**arguments)
    (inputs,) = make_inputs(3)
    layer.build(inputs.shape)
    randomise_weights(layer)
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


def test_training_moves_the_statistics():
    layer = ContextGating()
    layer(*make_inputs(5), training=True)
    assert np.all(np.asarray(layer.norm.moving_mean) != 0)


def test_macs_are_one_for_every_entry_of_the_matrix():
    layer = ContextGating()
    layer.build((None, DIM))
    assert layer.macs() == 16

"""Dense layers with ReLU against NumPy."""

import numpy as np
import pytest

from distill.models.dense_stack import DenseStack
from tests.layer_checks import check_layer, randomise_weights
from tests.videos import dense_relu

DIM, SIZES = 6, [16, 12]


def make_inputs(batch_size):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(batch_size, DIM)).astype(np.float32),)


def make_built(**arguments):
    layer = DenseStack(SIZES, **arguments)
    layer.build((None, DIM))
    randomise_weights(layer)
    return layer


@pytest.mark.parametrize(
    "arguments",
    [{}, {"dropout": 0.2}, {"batch_norm": True}],
    ids=["plain", "dropout", "batch norm"],
)
def test_dense_stack_passes_the_layer_checks(arguments):
    check_layer(lambda: DenseStack(SIZES, **arguments), make_inputs)


def test_every_layer_ends_in_a_relu():
    (inputs,) = make_inputs(3)
    layer = make_built()
    expected = inputs
    for dense in layer.denses:
        expected = dense_relu(expected, dense)
    assert (expected == 0).any() and (expected > 0).any()
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-4)


def test_batch_norm_stands_before_the_relu_and_replaces_the_bias():
    (inputs,) = make_inputs(3)
    layer = make_built(batch_norm=True)
    expected = inputs
    for dense, norm in zip(layer.denses, layer.norms, strict=True):
        (kernel,) = dense.get_weights()
        gamma, beta, mean, variance = norm.get_weights()
        sums = (expected @ kernel - mean) / np.sqrt(variance + 1e-3)
        expected = np.maximum(sums * gamma + beta, 0)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-4)


def test_dropout_acts_between_layers_in_training_alone():
    (inputs,) = make_inputs(3)
    layer = make_built(dropout=0.5)
    scored = np.asarray(layer(inputs))
    np.testing.assert_array_equal(layer(inputs), scored)
    trained = np.asarray(layer(inputs, training=True))
    assert np.abs(trained - scored).max() > 0.01
    one = DenseStack([16], dropout=0.9)
    np.testing.assert_array_equal(one(inputs, training=True), one(inputs))


def test_macs_are_one_for_every_matrix_entry():
    assert make_built().macs() == 6 * 16 + 16 * 12

"""Dense layers with ReLU, alone and per feature, against NumPy."""

import numpy as np
import pytest

from distill.models.dense_stack import DenseStack, PerFeature
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_layers import batch_norm, dense_relu
from tests.videos import make_vectors

DIM, SIZES = 6, [16, 12]


def make_built(**arguments):
    layer = DenseStack(SIZES, **arguments)
    layer.build((None, DIM))
    randomise_weights(layer)
    return layer


def make_towers(feature_sizes, **arguments):
    towers = [
        DenseStack(SIZES, **arguments, name=f"tower_{index}")
        for index in range(len(feature_sizes))
    ]
    return PerFeature(feature_sizes, towers)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"dropout": 0.2}, {"batch_norm": True}],
    ids=["plain", "dropout", "batch norm"],
)
def test_dense_layers_pass_the_layer_checks(arguments):
    check_layer(lambda: DenseStack(SIZES, **arguments), make_vectors)
    check_layer(lambda: make_towers([4, 2], **arguments), make_vectors)


def test_every_layer_ends_in_a_relu():
    (inputs,) = make_vectors(3)
    layer = make_built()
    expected = dense_relu(inputs, *layer.denses)
    assert (expected == 0).any()
    assert (expected > 0).any()
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-4)


def test_batch_norm_stands_before_the_relu_and_replaces_the_bias():
    (inputs,) = make_vectors(3)
    layer = make_built(batch_norm=True)
    expected = inputs
    for dense, norm in zip(layer.denses, layer.norms, strict=True):
        (kernel,) = dense.get_weights()
        expected = np.maximum(batch_norm(expected @ kernel, norm), 0)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-4)


def test_dropout_acts_between_layers_alone():
    (inputs,) = make_vectors(3)
    one = DenseStack([16], dropout=0.9)
    np.testing.assert_array_equal(one(inputs, training=True), one(inputs))


@pytest.mark.parametrize("feature_sizes", [[6], [4, 2], [1, 2, 3]])
def test_every_tower_reads_its_feature_alone(feature_sizes):
    (inputs,) = make_vectors(3)
    layer = make_towers(feature_sizes)
    layer.build((None, DIM))
    randomise_weights(layer)
    features = np.split(inputs, np.cumsum(feature_sizes)[:-1], axis=1)
    expected = [
        dense_relu(feature, *tower.denses)
        for feature, tower in zip(features, layer.readers, strict=True)
    ]
    np.testing.assert_allclose(
        layer(inputs), np.concatenate(expected, axis=1), atol=1e-4
    )


def test_widths_that_do_not_fill_the_input_are_an_error():
    with pytest.raises(ValueError, match=r"^feature_sizes .* got \(4, 1\)\.$"):
        make_towers([4, 1]).build((None, DIM))

"""A tower per feature against NumPy."""

import numpy as np
import pytest

from distill.models.feature_towers import FeatureTowers
from tests.layer_checks import check_layer, randomise_weights
from tests.videos import dense_relu

TOWER = [12, 10]


def make_inputs(batch_size, num_features=6):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(batch_size, num_features)).astype(np.float32),)


@pytest.mark.parametrize("arguments", [{}, {"batch_norm": True}])
def test_feature_towers_pass_the_layer_checks(arguments):
    check_layer(lambda: FeatureTowers([4, 2], TOWER, **arguments), make_inputs)


@pytest.mark.parametrize("feature_sizes", [[6], [4, 2], [1, 2, 3]])
def test_every_tower_reads_its_feature_alone(feature_sizes):
    (inputs,) = make_inputs(3)
    layer = FeatureTowers(feature_sizes, TOWER)
    layer.build((None, 6))
    randomise_weights(layer)
    assert len(layer.towers) == len(feature_sizes)
    expected, start = [], 0
    for tower, size in zip(layer.towers, feature_sizes, strict=True):
        values = inputs[:, start : start + size]
        for dense in tower.denses:
            values = dense_relu(values, dense)
        expected.append(values)
        start += size
    np.testing.assert_allclose(
        layer(inputs), np.concatenate(expected, axis=1), atol=1e-4
    )


def test_widths_that_do_not_fill_the_input_are_an_error():
    with pytest.raises(ValueError, match=r"^feature_sizes .* got \(4, 1\)\.$"):
        FeatureTowers([4, 1], TOWER).build((None, 6))


def test_macs_are_those_of_all_towers():
    layer = FeatureTowers([4, 2], TOWER)
    layer.build((None, 6))
    assert layer.macs() == (4 * 12 + 12 * 10) + (2 * 12 + 12 * 10)

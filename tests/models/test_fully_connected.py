"""The fully connected network against NumPy."""

import numpy as np
import pytest

from distill.models.fully_connected import FullyConnectedModel
from tests.layer_checks import check_video_model, randomise_weights
from tests.numpy_layers import dense_relu
from tests.videos import assert_classified, make_model, make_vectors

FEATURES = 6
SIZES = {
    "feature_sizes": (4, 2),
    "tower_sizes": "12,16",
    "hidden_sizes": "14,12",
}


def make_built(**settings):
    model = make_model(FullyConnectedModel, **SIZES | settings)
    model.build({"features": (None, FEATURES)})
    randomise_weights(model)
    return model


def make_inputs():
    (features,) = make_vectors(5)
    return {"features": features}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"feature_sizes": (6,), "hidden_sizes": "12"},
        {"feature_sizes": (1, 2, 3), "dropout": 0.1},
        {"input_batch_norm": True, "batch_norm": True},
    ],
    ids=["plain", "one feature", "three features", "batch norm"],
)
def test_fully_connected_passes_the_model_checks(settings):
    check_video_model(
        lambda: make_model(FullyConnectedModel, **SIZES | settings), FEATURES
    )


@pytest.mark.parametrize("feature_sizes", [(6,), (4, 2), (1, 2, 3)])
def test_towers_are_joined_and_read_by_dense_layers(feature_sizes):
    model, inputs = make_built(feature_sizes=feature_sizes), make_inputs()
    bounds = np.cumsum(feature_sizes)[:-1]
    features = np.split(inputs["features"], bounds, axis=1)
    towers = [
        dense_relu(values, *tower.denses)
        for values, tower in zip(features, model.towers.readers, strict=True)
    ]
    joined = np.concatenate(towers, axis=1)
    embedding = dense_relu(joined, *model.hidden.denses)
    assert_classified(model, model(inputs), embedding, atol=1e-3)


def test_features_are_normalised_by_the_batch_in_training():
    model, inputs = make_built(input_batch_norm=True), make_inputs()
    shifted = {"features": 3 * inputs["features"] + 7}
    expected = model(inputs, training=True)["embedding"]
    trained = model(shifted, training=True)["embedding"]
    np.testing.assert_allclose(trained, expected, rtol=0.02, atol=0.02)
    assert np.abs(model(shifted)["embedding"] - expected).max() > 1

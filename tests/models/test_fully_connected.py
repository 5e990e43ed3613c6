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
    model = make_model(
        FullyConnectedModel, **SIZES | {"feature_sizes": feature_sizes}
    )
    model.build({"features": (None, FEATURES)})
    randomise_weights(model)
    (inputs,) = make_vectors(5)
    features = np.split(inputs, np.cumsum(feature_sizes)[:-1], axis=1)
    towers = [
        dense_relu(values, *tower.denses)
        for values, tower in zip(features, model.towers.readers, strict=True)
    ]
    joined = np.concatenate(towers, axis=1)
    embedding = dense_relu(joined, *model.hidden.denses)
    assert_classified(model, model({"features": inputs}), embedding, atol=1e-3)

"""The fully connected network against NumPy."""

import numpy as np
import pytest

from distill.models.fully_connected import FullyConnectedModel
from distill.models.logistic import Logistic
from tests.layer_checks import check_video_model, randomise_weights
from tests.numpy_lstm import sigmoid
from tests.videos import dense_relu

FEATURES, CLASSES = 6, 4


def make_model(feature_sizes=(4, 2), **arguments):
    sizes = {"tower_sizes": "12,16", "hidden_sizes": "14,12"} | arguments
    return FullyConnectedModel(
        Logistic(CLASSES, name="classifier"), feature_sizes, **sizes
    )


def make_built(*arguments, **named):
    model = make_model(*arguments, **named)
    model.build({"features": (None, FEATURES)})
    randomise_weights(model)
    return model


def make_inputs():
    rng = np.random.default_rng(1)
    return {"features": rng.normal(size=(5, FEATURES)).astype(np.float32)}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"feature_sizes": (6,), "hidden_sizes": "12"},
        {"feature_sizes": (1, 2, 3), "dropout": 0.1},
        {"input_batch_norm": True, "batch_norm": True},
    ],
    ids=["plain", "one feature", "three features", "batch norm"],
)
def test_fully_connected_passes_the_model_checks(arguments):
    check_video_model(
        lambda: make_model(**arguments),
        num_features=FEATURES,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize("feature_sizes", [(6,), (4, 2), (1, 2, 3)])
def test_towers_are_joined_and_read_by_dense_layers(feature_sizes):
    model, inputs = make_built(feature_sizes), make_inputs()
    bounds = np.cumsum(feature_sizes)[:-1]
    features = np.split(inputs["features"], bounds, axis=1)
    towers = []
    for values, tower in zip(features, model.towers.towers, strict=True):
        for dense in tower.denses:
            values = dense_relu(values, dense)
        towers.append(values)
    embedding = np.concatenate(towers, axis=1)
    for dense in model.hidden.denses:
        embedding = dense_relu(embedding, dense)
    kernel, bias = model.classifier.get_weights()
    outputs = model(inputs)
    np.testing.assert_allclose(outputs["embedding"], embedding, rtol=1e-4)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(embedding @ kernel + bias), atol=1e-5
    )


def test_features_are_normalised_by_the_batch_in_training():
    model, inputs = make_built(input_batch_norm=True), make_inputs()
    shifted = {"features": 3 * inputs["features"] + 7}
    expected = model(inputs, training=True)["embedding"]
    trained = model(shifted, training=True)["embedding"]
    np.testing.assert_allclose(trained, expected, rtol=0.02, atol=0.02)
    assert np.abs(model(shifted)["embedding"] - expected).max() > 1


def test_the_embedding_itself_passes_no_dropout():
    model, inputs = make_built(dropout=0.5), make_inputs()
    model.towers_drop.rate = 0.0
    for stack in (model.hidden, *model.towers.towers):
        for drop in stack.drops:
            drop.rate = 0.0
    scored, trained = model(inputs), model(inputs, training=True)
    np.testing.assert_allclose(
        trained["embedding"], scored["embedding"], rtol=1e-6
    )
    difference = trained["predictions"] - scored["predictions"]
    assert np.abs(difference).max() > 0.01


def test_macs_are_one_for_every_matrix_entry():
    towers = (4 * 12 + 12 * 16) + (2 * 12 + 12 * 16)
    hidden = 2 * 16 * 14 + 14 * 12
    expected = towers + hidden + 12 * CLASSES
    assert make_built().macs(1) == expected
    assert make_built().macs(300) == expected


@pytest.mark.parametrize("argument", ["tower_sizes", "hidden_sizes"])
def test_text_that_lists_no_sizes_is_an_error(argument):
    with pytest.raises(ValueError, match=f"^{argument} must .* got '5;6'.$"):
        make_model(**{argument: "5;6"})

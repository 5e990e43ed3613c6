"""Towers and streams joined, against NumPy."""

import numpy as np
import pytest

from distill.models.combined import CombinedModel
from distill.models.logistic import Logistic
from tests.layer_checks import check_frame_model
from tests.models.test_feature_streams import numpy_stream
from tests.numpy_lstm import sigmoid
from tests.videos import build_for_frames, dense_relu, make_videos, real_frames

FRAMES, FEATURES, CLASSES = 5, 6, 4


def make_model(feature_sizes=(4, 2), **arguments):
    sizes = {"tower_sizes": "12,10", "hidden_sizes": "16,12"} | arguments
    return CombinedModel(
        Logistic(CLASSES, name="classifier"),
        feature_sizes,
        stream_input_size=8,
        stream_cells="6,4",
        **sizes,
    )


def make_built(*arguments, **named):
    return build_for_frames(make_model(*arguments, **named), FEATURES)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"feature_sizes": (6,), "hidden_sizes": "12"},
        {"feature_sizes": (1, 2, 3), "hidden_dropout": 0.1},
        {"batch_norm": True, "dropout": 0.0},
    ],
    ids=["plain", "one feature", "three features", "batch norm"],
)
def test_combined_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=FEATURES,
        max_frames=FRAMES,
        num_classes=CLASSES,
    )


def numpy_joined(frames, model, bounds):
    """Returns the towers' outputs and the streams' states of one video."""
    mean = frames.sum(axis=0) / max(len(frames), 1)
    joined = []
    features = np.split(mean, bounds)
    for values, tower in zip(features, model.towers.towers, strict=True):
        for dense in tower.denses:
            values = dense_relu(values, dense)
        joined.append(values)
    features = np.split(frames, bounds, axis=1)
    for values, stream in zip(features, model.streams.streams, strict=True):
        joined.append(numpy_stream(values, stream))
    return np.concatenate(joined)


@pytest.mark.parametrize("feature_sizes", [(6,), (4, 2), (1, 2, 3)])
def test_towers_over_the_mean_frame_join_the_streams(feature_sizes):
    model = make_built(feature_sizes)
    videos = make_videos(FRAMES, FEATURES)
    bounds = np.cumsum(feature_sizes)[:-1]
    embedding = np.array(
        [numpy_joined(real, model, bounds) for real in real_frames(videos)]
    )
    for dense in model.hidden.denses:
        embedding = dense_relu(embedding, dense)
    kernel, bias = model.classifier.get_weights()
    outputs = model(videos)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-3)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(embedding @ kernel + bias), atol=1e-5
    )


def test_macs_are_those_of_towers_streams_and_dense_layers():
    model = make_built()
    towers = (4 * 12 + 12 * 10) + (2 * 12 + 12 * 10)
    first = 4 * 8 + 4 * 6 * (8 + 6) + 4 * 6 * (6 + 6)
    second = 2 * 8 + 4 * 4 * (8 + 4) + 4 * 4 * (4 + 4)
    dense = (2 * 10 + 6 + 4) * 16 + 16 * 12 + 12 * CLASSES
    assert model.macs(7) == towers + 7 * (first + second) + dense


def test_text_that_lists_no_sizes_is_an_error():
    with pytest.raises(ValueError, match=r"^tower_sizes must .* got '5;6'\.$"):
        make_model(tower_sizes="5;6")

"""The Stream-LSTM against NumPy."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.stream_lstm import StreamLstmModel
from tests.layer_checks import check_frame_model
from tests.models.test_feature_streams import numpy_stream
from tests.numpy_lstm import sigmoid
from tests.videos import build_for_frames, dense_relu, make_videos, real_frames

FRAMES, FEATURES, CLASSES = 5, 6, 4


def make_model(feature_sizes=(4, 2), **arguments):
    sizes = {"stream_cells": "6,4", "hidden_sizes": "16,12"} | arguments
    return StreamLstmModel(
        Logistic(CLASSES, name="classifier"),
        feature_sizes,
        stream_input_size=8,
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
def test_stream_lstm_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=FEATURES,
        max_frames=FRAMES,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize(
    ("feature_sizes", "cells"),
    [((6,), [6]), ((4, 2), [6, 4]), ((1, 2, 3), [6, 4, 4])],
)
def test_the_streams_states_are_read_by_dense_layers(feature_sizes, cells):
    model = make_built(feature_sizes)
    videos = make_videos(FRAMES, FEATURES)
    streams = model.streams.streams
    assert [stream.cells for stream in streams] == cells
    bounds = np.cumsum(feature_sizes)[:-1]
    joined = [
        np.concatenate(
            [
                numpy_stream(feature, stream)
                for feature, stream in zip(
                    np.split(frames, bounds, axis=1), streams, strict=True
                )
            ]
        )
        for frames in real_frames(videos)
    ]
    embedding = np.array(joined)
    for dense in model.hidden.denses:
        embedding = dense_relu(embedding, dense)
    kernel, bias = model.classifier.get_weights()
    outputs = model(videos)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-4)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(embedding @ kernel + bias), atol=1e-5
    )


@pytest.mark.parametrize(
    "arguments",
    [{"dropout": 0.5}, {"dropout": 0.0, "hidden_dropout": 0.5}],
    ids=["dropout", "hidden_dropout"],
)
def test_dropout_acts_in_training_alone(arguments):
    model, videos = make_built(**arguments), make_videos(FRAMES, FEATURES)
    scored = model(videos)["predictions"]
    np.testing.assert_array_equal(model(videos)["predictions"], scored)
    trained = model(videos, training=True)["predictions"]
    assert np.abs(trained - scored).max() > 0.01


def test_macs_are_those_of_streams_and_dense_layers():
    model = make_built()
    first = 4 * 8 + 4 * 6 * (8 + 6) + 4 * 6 * (6 + 6)
    second = 2 * 8 + 4 * 4 * (8 + 4) + 4 * 4 * (4 + 4)
    dense = (6 + 4) * 16 + 16 * 12 + 12 * CLASSES
    assert model.macs(7) == 7 * (first + second) + dense


@pytest.mark.parametrize("argument", ["stream_cells", "hidden_sizes"])
def test_text_that_lists_no_sizes_is_an_error(argument):
    with pytest.raises(ValueError, match=f"^{argument} must .* got '5;6'.$"):
        make_model(**{argument: "5;6"})

"""Recurrent streams per feature, alone and beside towers, against NumPy."""

import numpy as np
import pytest

from distill.models.dense_stack import PerFeature
from distill.models.stream_lstm import (
    CombinedModel,
    LstmStream,
    StreamLstmModel,
)
from tests.layer_checks import (
    check_frame_model,
    check_layer,
    randomise_weights,
)
from tests.numpy_layers import dense_relu, lstm_outputs
from tests.videos import (
    assert_classified,
    build_for_frames,
    make_model,
    make_sequences,
    make_videos,
    real_frames,
)

FRAMES, FEATURES, INPUT = 5, 6, 8
SIZES = {
    "feature_sizes": (4, 2),
    "stream_input_size": INPUT,
    "stream_cells": "6,4",
    "hidden_sizes": "16,12",
}
TOWERS = {
    StreamLstmModel: {"stream_output_size": 7},
    CombinedModel: {
        "tower_sizes": "12,10",
        "stream_output_size": 5,
        "stream_head_size": 32,
    },
}
forms = pytest.mark.parametrize("published_form", [True, False])
both = pytest.mark.parametrize("model_class", TOWERS)


def make_streams(model_class, **settings):
    return make_model(model_class, **SIZES | TOWERS[model_class] | settings)


def numpy_streams(frames, streams, feature_sizes):
    """Returns what is read of the streams of one video's real frames."""
    bounds, read = np.cumsum(feature_sizes)[:-1], []
    features = np.split(frames, bounds, axis=1)
    for feature, stream in zip(features, streams, strict=True):
        inputs = numpy_inputs(feature, stream)
        forward = lstm_outputs(inputs, stream.forward_lstm)
        backward = lstm_outputs(forward[::-1], stream.backward_lstm)
        zeros = np.zeros(stream.output_size or stream.cells)
        if not len(backward):
            found = zeros
        elif stream.output_size:
            found = dense_relu(backward, stream.output_dense).max(axis=0)
        else:
            found = backward[-1]
        head = stream.head.denses if stream.head_sizes else []
        read.append(dense_relu(found, *head))
    return np.concatenate(read)


def numpy_inputs(feature, stream):
    if stream.input_activation == "relu":
        return dense_relu(feature, stream.dense)
    kernel, bias = stream.dense.get_weights()
    return np.tanh(feature @ kernel + bias)


def numpy_towers(frames, model, feature_sizes):
    """Returns the towers' outputs for the mean of the real frames."""
    mean = frames.sum(axis=0) / max(len(frames), 1)
    features = np.split(mean, np.cumsum(feature_sizes)[:-1])
    return [
        dense_relu(feature, *tower.denses)
        for feature, tower in zip(features, model.towers.readers, strict=True)
    ]


def make_layer(feature_sizes, cells, **options):
    streams = [LstmStream(INPUT, n, **options) for n in cells]
    return PerFeature(feature_sizes, streams)


STREAMS = {
    "state": {},
    "maxima": {"output_size": 3},
    "scores": {
        "output_size": 1,
        "head_sizes": [5, 2],
        "input_activation": "tanh",
    },
}
options = pytest.mark.parametrize("name", STREAMS)


@options
def test_a_stream_passes_the_layer_checks(name):
    check_layer(lambda: LstmStream(INPUT, 4, **STREAMS[name]), make_sequences)


def test_streams_pass_the_layer_checks():
    check_layer(lambda: make_layer([4, 2], [4, 3]), make_sequences)


@options
@pytest.mark.parametrize(
    ("feature_sizes", "cells"),
    [([6], [4]), ([4, 2], [4, 3]), ([1] * 6, [2] * 6)],
)
def test_every_stream_reads_its_feature_forward_then_backward(
    feature_sizes, cells, name
):
    layer = make_layer(feature_sizes, cells, **STREAMS[name])
    videos = make_videos(FRAMES, FEATURES)
    layer.build(videos["frames"].shape)
    randomise_weights(layer)
    expected = [
        numpy_streams(frames, layer.readers, feature_sizes)
        for frames in real_frames(videos)
    ]
    np.testing.assert_allclose(layer(*videos.values()), expected, atol=1e-5)


@both
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"feature_sizes": (6,), "hidden_sizes": "12"},
        pytest.param(
            {"feature_sizes": (1, 2, 3), "hidden_dropout": 0.1},
            marks=pytest.mark.slow,
        ),
        {"batch_norm": True, "dropout": 0.0},
        {"published_form": False, "lstm_gates": "hard_sigmoid"},
    ],
    ids=[
        "plain",
        "one feature",
        "three features",
        "batch norm",
        "earlier form",
    ],
)
def test_models_of_streams_pass_the_model_checks(model_class, settings):
    check_frame_model(
        lambda: make_streams(model_class, **settings),
        FEATURES,
        FRAMES,
        seed=1,
    )


@forms
@both
@pytest.mark.parametrize(
    ("feature_sizes", "cells"),
    [((6,), [6]), ((4, 2), [6, 4]), ((1, 2, 3), [6, 4, 4])],
)
def test_dense_layers_read_the_streams_and_the_towers(
    model_class, feature_sizes, cells, published_form
):
    model = make_streams(
        model_class, feature_sizes=feature_sizes, published_form=published_form
    )
    build_for_frames(model, FEATURES)
    streams = model.streams.readers
    assert [stream.cells for stream in streams] == cells
    videos, embedding = make_videos(FRAMES, FEATURES), []
    for frames in real_frames(videos):
        joined = [numpy_streams(frames, streams, feature_sizes)]
        if model_class is CombinedModel:
            joined = numpy_towers(frames, model, feature_sizes) + joined
        joined = np.concatenate(joined)
        embedding.append(dense_relu(joined, *model.hidden.denses))
    assert_classified(model, model(videos), np.array(embedding), atol=1e-3)

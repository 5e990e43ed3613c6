"""Residual LSTMs in alternating direction against NumPy."""

import numpy as np
import pytest

from distill.models.bidirectional_lstm import BiLstmModel, ResidualLstm
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

FRAMES, FEATURES, CELLS = 5, 6, 4
SIZES = {"cells": CELLS, "hidden_size": 12}


def numpy_layer(frames, layer):
    """Returns a residual LSTM's outputs for one video's real frames."""
    kernel, bias = layer.dense.get_weights()
    projected = frames @ kernel + bias
    if layer.published_form:
        projected = np.maximum(projected, 0)
    order = -1 if layer.backward else 1
    outputs = lstm_outputs(projected[::order], layer.lstm)
    if not layer.published_form:
        outputs = outputs[::order]
    return projected + outputs if layer.residual else outputs


forms = pytest.mark.parametrize("published_form", [True, False])


@forms
@pytest.mark.parametrize("backward", [False, True])
def test_residual_lstm_passes_the_layer_checks(backward, published_form):
    check_layer(
        lambda: ResidualLstm(CELLS, backward, published_form=published_form),
        make_sequences,
    )


@forms
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_the_lstm_s_outputs_are_added_to_its_inputs(
    backward, published_form, residual
):
    layer = ResidualLstm(
        CELLS, backward, published_form=published_form, residual=residual
    )
    videos = make_videos(FRAMES, FEATURES)
    layer.build(videos["frames"].shape)
    randomise_weights(layer)
    outputs = np.asarray(layer(*videos.values()))
    for index, frames in enumerate(real_frames(videos)):
        np.testing.assert_allclose(
            outputs[index, : len(frames)],
            numpy_layer(frames, layer),
            atol=1e-5,
        )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layers": 1},
        {"layers": 3, "dropout": 0.1, "input_batch_norm": True},
        {"published_form": False},
        {"layers": 2, "lstm_gates": "hard_sigmoid"},
    ],
    ids=["plain", "one layer", "dropout", "earlier form", "hard gates"],
)
def test_bidirectional_lstm_passes_the_model_checks(settings):
    check_frame_model(
        lambda: make_model(BiLstmModel, **SIZES, **settings), FEATURES, FRAMES
    )


@forms
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_maxima_over_real_frames_of_alternating_layers_are_read(
    layers, published_form
):
    model = make_model(
        BiLstmModel, layers=layers, published_form=published_form, **SIZES
    )
    build_for_frames(model, FEATURES)
    directions = [layer.backward for layer in model.recurrences]
    assert directions == [False, True, False, True][:layers]
    adds = [layer.residual for layer in model.recurrences]
    assert adds == [True] * (layers - 1) + [not published_form]
    videos = make_videos(FRAMES, FEATURES)
    pooled = np.zeros((FRAMES + 1, CELLS))
    for index, frames in enumerate(real_frames(videos)[1:], start=1):
        for layer in model.recurrences:
            frames = numpy_layer(frames, layer)
        pooled[index] = frames.max(axis=0)
    embedding = dense_relu(pooled, *model.hidden.denses)
    assert_classified(model, model(videos), embedding, atol=1e-4)


def test_a_model_saved_before_the_published_form_keeps_its_own():
    config = make_model(BiLstmModel, **SIZES).get_config()
    assert config["config"].pop("published_form") is True
    assert BiLstmModel.from_config(config).config.published_form is False

"""The hierarchical LSTM against NumPy."""

import numpy as np
import pytest

from distill.models.hierarchical_lstm import HierarchicalLstm
from tests.layer_checks import check_frame_model
from tests.numpy_layers import final_states
from tests.videos import (
    CLASSES,
    assert_classified,
    build_for_frames,
    make_model,
    make_videos,
    real_frames,
)

FEATURES, CELLS, FRAMES = 3, 4, 7
SIZES = {"max_frames": FRAMES, "num_blocks": 3, "cells": CELLS}


def make_built(**settings):
    model = make_model(HierarchicalLstm, **SIZES | settings)
    return build_for_frames(model, FEATURES)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_blocks": 4},
        {"layers": 1, "input_batch_norm": True},
        {"dropout": 0.1, "input_dropout": 0.1},
    ],
    ids=["plain", "last block short", "batch norm", "dropout"],
)
def test_hierarchical_lstm_passes_the_model_checks(settings):
    check_frame_model(
        lambda: make_model(HierarchicalLstm, **SIZES | settings),
        num_features=FEATURES,
        max_frames=FRAMES,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize(
    ("max_frames", "blocks", "block_length"),
    [(6, 3, 2), (7, 3, 3), (7, 7, 1), (7, 1, 7)],
)
def test_two_levels_read_blocks_and_their_states(
    max_frames, blocks, block_length
):
    model = make_built(max_frames=max_frames, num_blocks=blocks)
    inputs = make_videos(max_frames, FEATURES)
    lower = [lstm.get_weights() for lstm in model.lower.lstms]
    upper = [lstm.get_weights() for lstm in model.upper.lstms]
    embeddings = []
    for frames, num_frames in zip(*inputs.values(), strict=True):
        states = [
            final_states(frames[start : start + block_length][:left], lower)
            for start in range(0, num_frames, block_length)
            for left in [num_frames - start]
        ]
        embeddings.append(final_states(np.array(states), upper))
    assert_classified(model, model(inputs), embeddings)


def test_batch_norm_statistics_are_those_of_the_real_frames():
    model = make_built(input_batch_norm=True)
    model.input_norm.moving_mean.assign(np.zeros(FEATURES))
    model.input_norm.moving_variance.assign(np.zeros(FEATURES))
    inputs = make_videos(FRAMES, FEATURES)
    real = np.concatenate(real_frames(inputs))
    model(inputs, training=True)
    weight = 1 - model.input_norm.momentum
    np.testing.assert_allclose(
        model.input_norm.moving_mean, weight * real.mean(0), atol=1e-6
    )
    np.testing.assert_allclose(
        model.input_norm.moving_variance, weight * real.var(0), atol=1e-6
    )


def test_padding_has_no_effect_on_a_training_step_with_batch_norm():
    model = make_built(input_batch_norm=True)
    inputs = make_videos(FRAMES, FEATURES)
    garbage = inputs["frames"].copy()
    for frames, count in zip(garbage, inputs["num_frames"], strict=True):
        frames[count:] = 1000.0
    clean = model(inputs, training=True)
    dirty = model(inputs | {"frames": garbage}, training=True)
    for key in clean:
        np.testing.assert_allclose(dirty[key], clean[key], atol=1e-5)


def test_the_embedding_itself_passes_no_dropout():
    """The student learns from whole embeddings."""
    model = make_built(dropout=0.9)
    embedding = model(make_videos(FRAMES, FEATURES), training=True)["embedding"]
    assert np.all(np.asarray(embedding)[1:] != 0)


@pytest.mark.parametrize("blocks", [0, 8])
def test_blocks_that_do_not_fit_the_frames_are_an_error(blocks):
    message = rf"^num_inputs_to_lstm .* 1 to .* \(7\), got {blocks}\.$"
    with pytest.raises(ValueError, match=message):
        make_built(num_blocks=blocks)


def test_one_layer_s_embedding_is_cell_state_then_output():
    model = make_built(layers=1)
    embedding = np.asarray(model(make_videos(FRAMES, FEATURES))["embedding"])
    cell_state, output = np.split(embedding, 2, axis=1)
    assert np.all(np.abs(output) <= np.abs(np.tanh(cell_state)) + 1e-6)

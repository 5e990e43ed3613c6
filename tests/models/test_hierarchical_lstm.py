"""The hierarchical LSTM against NumPy."""

import numpy as np
import pytest

from distill.models.hierarchical_lstm import HierarchicalLstm
from tests.layer_checks import check_frame_model
from tests.numpy_layers import final_states
from tests.videos import (
    assert_classified,
    build_for_frames,
    make_model,
    make_videos,
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
        FEATURES,
        FRAMES,
    )


@pytest.mark.parametrize(
    ("max_frames", "blocks", "block_length"),
    [
        (6, 3, 2),
        (7, 3, 3),
        (7, 7, 1),
        (7, 9, 1),
        (7, 1, 7),
        (7, 0, 3),
        (2, 0, 2),
    ],
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

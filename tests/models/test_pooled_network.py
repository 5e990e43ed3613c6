"""Dense layers on mean and maximum of the frames, against NumPy."""

import numpy as np
import pytest

from distill.models.pooled_network import PooledNetworkModel
from tests.layer_checks import check_frame_model
from tests.numpy_layers import batch_norm, dense_relu
from tests.videos import (
    assert_classified,
    build_for_frames,
    make_model,
    make_videos,
    real_frames,
)

FRAMES, FEATURES = 5, 3
SIZES = {"hidden_sizes": "16,12"}


def make_built(**settings):
    model = make_model(PooledNetworkModel, **SIZES | settings)
    return build_for_frames(model, FEATURES)


@pytest.mark.parametrize(
    "settings",
    [{}, {"hidden_sizes": "16"}, {"input_batch_norm": True, "dropout": 0.1}],
    ids=["plain", "one layer", "batch norm"],
)
def test_pooled_network_passes_the_model_checks(settings):
    check_frame_model(
        lambda: make_model(PooledNetworkModel, **SIZES | settings),
        FEATURES,
        FRAMES,
    )


@pytest.mark.parametrize("input_batch_norm", [False, True])
def test_mean_and_maximum_of_the_real_frames_are_read(input_batch_norm):
    model = make_built(input_batch_norm=input_batch_norm)
    videos = make_videos(FRAMES, FEATURES)
    pooled = np.zeros((FRAMES + 1, 2 * FEATURES))
    for index, frames in enumerate(real_frames(videos)[1:], start=1):
        if input_batch_norm:
            frames = batch_norm(frames, model.input_norm)
        pooled[index] = np.append(frames.mean(axis=0), frames.max(axis=0))
    embedding = dense_relu(pooled, *model.hidden.denses)
    assert_classified(model, model(videos), embedding, atol=1e-4)

"""Mean and maximum over frames, read by dense layers, against NumPy."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.pooled_network import PooledNetworkModel
from tests.layer_checks import check_frame_model
from tests.numpy_lstm import sigmoid
from tests.videos import build_for_frames, dense_relu, make_videos, real_frames

FRAMES, FEATURES, CLASSES = 5, 3, 4


def make_model(hidden_sizes="16,12", **arguments):
    return PooledNetworkModel(
        Logistic(CLASSES, name="classifier"), hidden_sizes, **arguments
    )


def make_built(**arguments):
    return build_for_frames(make_model(**arguments), FEATURES)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"hidden_sizes": "16"}, {"input_batch_norm": True, "dropout": 0.1}],
    ids=["plain", "one layer", "batch norm"],
)
def test_pooled_network_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=FEATURES,
        max_frames=FRAMES,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize("input_batch_norm", [False, True])
def test_mean_and_maximum_of_the_real_frames_are_read(input_batch_norm):
    model = make_built(input_batch_norm=input_batch_norm)
    videos = make_videos(FRAMES, FEATURES)
    pooled = np.zeros((FRAMES + 1, 2 * FEATURES))
    for index, frames in enumerate(real_frames(videos)[1:], start=1):
        if input_batch_norm:
            gamma, beta, mean, variance = model.input_norm.get_weights()
            frames = (frames - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        pooled[index] = np.append(frames.mean(axis=0), frames.max(axis=0))
    embedding = pooled
    for dense in model.hidden.denses:
        embedding = dense_relu(embedding, dense)
    kernel, bias = model.classifier.get_weights()
    outputs = model(videos)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-4)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(embedding @ kernel + bias), atol=1e-5
    )


def test_batch_norm_statistics_are_those_of_the_real_frames():
    model = make_built(input_batch_norm=True)
    model.input_norm.moving_mean.assign(np.zeros(FEATURES))
    videos = make_videos(FRAMES, FEATURES)
    real = np.concatenate(real_frames(videos))
    model(videos, training=True)
    share = 1 - model.input_norm.momentum
    np.testing.assert_allclose(
        model.input_norm.moving_mean, share * real.mean(axis=0), atol=1e-6
    )


def test_dropout_acts_in_training_alone():
    model, videos = make_built(dropout=0.5), make_videos(FRAMES, FEATURES)
    scored = model(videos)["predictions"]
    np.testing.assert_array_equal(model(videos)["predictions"], scored)
    trained = model(videos, training=True)["predictions"]
    assert np.abs(trained - scored).max() > 0.01


def test_macs_are_one_for_every_matrix_entry():
    expected = 2 * FEATURES * 16 + 16 * 12 + 12 * CLASSES
    assert make_built().macs(300) == expected

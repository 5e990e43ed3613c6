"""The autoencoder's loss against NumPy, and its step."""

import numpy as np
import pytest
import tensorflow as tf

from distill.checkpoints.checkpoint import weight_names
from distill.models import registry
from distill.networks.network import build_network
from distill.settings.run import NetworkSettings
from distill.settings.schema import make_schema
from distill.settings.training import TrainingSettings
from distill.training.reconstruction import Reconstructor, reconstruction_error

FEATURES, FRAMES = 6, 7


def make_batch(batch_size=5, seed=0):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (batch_size, FRAMES, FEATURES), np.uint8)
    num_frames = rng.integers(1, FRAMES + 1, batch_size, np.int32)
    return {
        "frames": tf.constant(frames),
        "num_frames": tf.constant(num_frames),
        "labels": tf.zeros([batch_size, 3], tf.bool),
    }


def make_reconstructor(**training):
    autoencoder = registry.build_autoencoder(FEATURES, "5,4")
    autoencoder.build({"frames": (None, FRAMES, FEATURES)})
    settings = TrainingSettings("unused", **training)
    return Reconstructor(autoencoder, settings)


def numpy_frames(batch):
    """Returns each video's real frames, dequantised, of norm 1."""
    videos = []
    for video, count in zip(
        batch["frames"].numpy(), batch["num_frames"].numpy(), strict=True
    ):
        frames = video[:count] * (4 / 255) + 4 / 512 - 2
        videos.append(frames / np.linalg.norm(frames, axis=1, keepdims=True))
    return videos


def numpy_reconstruct(model, values):
    for coder in (model.encoder, model.decoder):
        kernel, bias, last_kernel, last_bias = coder.get_weights()
        values = np.maximum(values @ kernel + bias, 0) @ last_kernel + last_bias
    return values


@pytest.mark.parametrize("traced", [False, True])
def test_error_is_the_mean_over_each_video_s_real_frames(traced):
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(3, 4, 2)).astype(np.float32)
    output = rng.normal(size=(3, 4, 2)).astype(np.float32)
    num_frames = np.array([0, 1, 3], np.int32)
    inputs = {"frames": frames, "num_frames": num_frames}
    call = tf.function(reconstruction_error) if traced else reconstruction_error
    expected = [
        0,
        np.square(frames[1, :1] - output[1, :1]).mean(),
        np.square(frames[2, :3] - output[2, :3]).mean(),
    ]
    np.testing.assert_allclose(call(inputs, output), expected, rtol=1e-5)


def test_error_of_video_level_features_is_their_mean():
    rng = np.random.default_rng(0)
    features, output = rng.normal(size=(2, 3, 4)).astype(np.float32)
    found = reconstruction_error({"features": features}, output)
    expected = np.square(features - output).mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_loss_of_a_step_is_numpy_s_and_needs_no_labels():
    reconstructor = make_reconstructor()
    batch = make_batch()
    errors = [
        np.square(numpy_reconstruct(reconstructor.autoencoder, f) - f).mean()
        for f in numpy_frames(batch)
    ]
    del batch["labels"]
    terms, predictions = reconstructor.train_step(batch, 0.01)
    assert (set(terms), predictions) == ({"loss"}, {})
    np.testing.assert_allclose(terms["loss"], np.mean(errors), rtol=1e-5)


def test_a_step_of_sgd_follows_numpy_s_gradient_of_the_last_bias():
    reconstructor = make_reconstructor(optimizer="SGD", clip_gradient_norm=0)
    model = reconstructor.autoencoder
    batch = make_batch()
    gradient = np.mean(
        [
            2 * (numpy_reconstruct(model, f) - f).mean(axis=0) / FEATURES
            for f in numpy_frames(batch)
        ],
        axis=0,
    )
    before = model.decoder.get_weights()[-1]
    reconstructor.train_step(batch, 0.5)
    after = model.decoder.get_weights()[-1]
    np.testing.assert_allclose(after, before - 0.5 * gradient, atol=1e-6)


@pytest.mark.parametrize("name", registry.MODELS)
def test_every_model_takes_an_encoder_before_it(name):
    schema = make_schema(
        "yt8m_2018",
        frame_features=registry.get_entry(name).level == "frame",
    )
    arguments = registry.resolve_arguments(name, {})
    with tf.Graph().as_default():
        network = build_network(
            NetworkSettings(name, arguments, encoder_sizes="512,256"),
            schema,
            "student",
        )
        plain = build_network(
            NetworkSettings(name, arguments), schema, "student"
        )
    added = set(weight_names(network.model)) - set(weight_names(plain.model))
    assert {n for n in added if n.startswith("encoder/")} == {
        f"encoder/dense_{index}/{kind}"
        for index in range(2)
        for kind in ("kernel", "bias")
    }
    vectors = 300 if schema.frame_features else 1
    encoding = vectors * (1152 * 512 + 512 * 256)
    model = network.model.model
    assert network.macs == encoding + model.macs(300)

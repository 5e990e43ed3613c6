"""Frames whose batch norm's weights are taken into the products."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from distill.models.input_norm import InputNorm
from distill.models.netfv import NetFvModel
from distill.models.netvlad import NetVladModel
from distill.models.scaled_frames import (
    ScaledFrames,
    multiply_frames,
    multiply_out,
)
from distill.models.soft_assignment import sum_by_cluster
from distill.models.soft_dbof import GatedDbofModel
from tests.layer_checks import randomise_weights
from tests.videos import build_for_frames, make_model

RANDOM = np.random.default_rng(5)


def draw(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def test_products_and_sums_are_those_of_the_multiplied_frames():
    values, scale, offset = draw(2, 4, 3), draw(3), draw(3)
    kernel, assigned = draw(3, 5), draw(2, 4, 6)
    frames = ScaledFrames(*map(tf.constant, (values, scale, offset)))
    plain = values * scale + offset
    np.testing.assert_allclose(multiply_out(frames), plain, atol=1e-6)
    np.testing.assert_allclose(
        multiply_frames(frames, kernel), plain @ kernel, atol=1e-5
    )
    np.testing.assert_allclose(
        sum_by_cluster(frames, assigned),
        assigned.transpose(0, 2, 1) @ plain,
        atol=1e-5,
    )


def differentiate(model, inputs):
    """Returns a trained batch's outputs, gradients and statistics."""
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        predictions = outputs["predictions"]
        factors = tf.range(tf.size(predictions), dtype=tf.float32)
        total = tf.reduce_sum(
            tf.reshape(predictions, [-1]) * tf.sin(factors)
        ) + tf.reduce_sum(outputs["embedding"] ** 2)
    variables = [v.value for v in model.trainable_variables]
    gradients = tape.gradient(total, variables)
    statistics = [v.numpy() for v in model.non_trainable_variables]
    return [*outputs.values(), *gradients, *statistics]


@pytest.mark.parametrize("mask_padding", [True, False])
@pytest.mark.parametrize(
    ("model_class", "settings"),
    [
        (NetVladModel, {}),
        (NetVladModel, {"add_batch_norm": False}),
        (NetFvModel, {}),
        (GatedDbofModel, {}),
    ],
)
def test_models_train_as_with_keras_s_batch_norm(
    model_class, settings, mask_padding
):
    settings = {"cluster_size": 4, "hidden_size": 5} | settings
    settings["mask_padding"] = mask_padding
    model = make_model(model_class, feature_sizes=(3, 2), **settings)
    build_for_frames(model, 5)
    randomise_weights(model)
    for variable in model.trainable_variables:
        if variable.name == "covariances":
            # NetFV divides by their squares.
            variable.assign(1 + np.abs(variable.numpy()))
    weights = model.get_weights()
    inputs = {"frames": draw(4, 6, 5), "num_frames": np.array([1, 3, 6, 2])}
    found = differentiate(model, inputs)
    model.set_weights(weights)

    def whole(norm, frames, real):
        return norm(frames, real, training=True)

    with mock.patch.object(InputNorm, "standardise", whole):
        expected = differentiate(model, inputs)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)

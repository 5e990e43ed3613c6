"""Optimisers against Keras's own, clipping and rates against NumPy."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.settings.training import LEARNING_RATE_SCHEDULES, OPTIMIZERS
from distill.training.optimizers import (
    apply_gradients,
    learning_rate,
    make_optimizer,
)
from tests.training.tiny_networks import TRAINING

SHAPES = [(7, 5), (3,), ()]


@pytest.mark.parametrize(
    ("decay", "examples_seen", "expected"),
    [
        (0.8, 0, 0.1),
        (0.8, 999, 0.1),
        (0.8, 1000, 0.08),
        (0.8, 1999, 0.08),
        (0.8, 3500, 0.0512),
        (1.0, 10**9, 0.1),
        (0.0, 999, 0.1),
        (0.0, 1000, 0.0),
    ],
)
def test_the_rate_falls_after_every_full_number_of_examples(
    decay, examples_seen, expected
):
    training = dataclasses.replace(
        TRAINING,
        base_learning_rate=0.1,
        learning_rate_decay=decay,
        learning_rate_decay_examples=1000,
    )
    found = learning_rate(training, examples_seen, run_share=0.5)
    assert found == pytest.approx(expected)


FACTORS = {
    "staircase": lambda seen, share: 0.8 ** (seen // 1000),
    "constant": lambda seen, share: 1.0,
    "linear": lambda seen, share: 1 - share,
    "cosine": lambda seen, share: (1 + np.cos(np.pi * share)) / 2,
}


@pytest.mark.parametrize("warmup", [0, 1500])
@pytest.mark.parametrize("schedule", LEARNING_RATE_SCHEDULES)
def test_schedules_and_warm_up_are_the_formulas(schedule, warmup):
    training = dataclasses.replace(
        TRAINING,
        base_learning_rate=0.1,
        learning_rate_decay=0.8,
        learning_rate_decay_examples=1000,
        learning_rate_schedule=schedule,
        warmup_examples=warmup,
    )
    places = [0, 500, 1000, 1499, 1500, 4000]
    for seen, share in zip(places, np.linspace(0, 1, 6), strict=True):
        expected = 0.1 * FACTORS[schedule](seen, share)
        if warmup:
            expected *= min(seen / warmup, 1.0)
        found = learning_rate(training, seen, share)
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-8)


def make_variables():
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=shape), name=f"weight_{index}")
        for index, shape in enumerate(SHAPES)
    ]


def make_gradients(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return [tf.constant(scale * rng.normal(size=s), tf.float32) for s in SHAPES]


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_does_what_keras_s_does(name, graph):
    training = dataclasses.replace(
        TRAINING, optimizer=name, base_learning_rate=0.02
    )
    if name == "Momentum":
        reference = keras.optimizers.SGD(0.02, momentum=0.9)
    else:
        reference = getattr(keras.optimizers, name)(0.02)
    assert_same_steps(training, reference, graph)


@pytest.mark.parametrize(
    ("name", "settings", "reference"),
    [
        ("Momentum", {"momentum": 0.5}, {"momentum": 0.5}),
        ("Adam", {"adam_epsilon": 0.01}, {"epsilon": 0.01}),
        ("AdamW", {"adam_epsilon": 0.01}, {"epsilon": 0.01}),
    ],
)
def test_options_of_an_optimiser_reach_it(name, settings, reference):
    training = dataclasses.replace(
        TRAINING, optimizer=name, base_learning_rate=0.02, **settings
    )
    keras_name = {"Momentum": "SGD"}.get(name, name)
    expected = getattr(keras.optimizers, keras_name)(0.02, **reference)
    assert_same_steps(training, expected, graph=True)


def assert_same_steps(training, reference, graph):
    """Compares five steps of the settings' optimiser with another's."""
    optimizer = make_optimizer(training)
    found, expected = make_variables(), make_variables()
    optimizer.build(found)
    reference.build(expected)

    def step(*gradients):
        apply_gradients(optimizer, gradients, found, clip_norm=0.0)

    step = tf.function(step) if graph else step
    for seed in range(5):
        rate = 0.02 / (1 + seed)
        optimizer.learning_rate.assign(rate)
        reference.learning_rate.assign(rate)
        step(*make_gradients(seed))
        reference.apply_gradients(
            zip(make_gradients(seed), expected, strict=True)
        )
    paths = [v.path.split("/", 1)[1] for v in optimizer.variables]
    assert paths == [v.path.split("/", 1)[1] for v in reference.variables]
    for one, other in zip(
        [*found, *optimizer.variables],
        [*expected, *reference.variables],
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_each_gradient_is_scaled_down_to_the_largest_norm(scale):
    variables = make_variables()
    before = [v.numpy() for v in variables]
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(variables)
    gradients = make_gradients(1, scale)
    apply_gradients(optimizer, gradients, variables, clip_norm=2.0)
    for old, new, gradient in zip(before, variables, gradients, strict=True):
        norm = np.linalg.norm(gradient)
        step = gradient.numpy() * min(1, 2 / norm)
        np.testing.assert_allclose(old - step, new, rtol=1e-5, atol=1e-6)

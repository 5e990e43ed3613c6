"""Weights of classes and of rated pairs in the losses against labels."""

import re

import numpy as np
import pytest
import tensorflow as tf

from distill import losses
from distill.settings.training import DistillationSettings
from distill.training.class_weights import read_class_weights
from distill.training.distiller import Distiller
from tests.training.tiny_networks import (
    NUM_CLASSES,
    TRAINING,
    make_batch,
    make_student,
    make_teacher,
    numpy_outputs,
)


def terms_of_cross_entropy(labels, predictions):
    terms = -labels * np.log(predictions + 1e-5)
    return terms - (1 - labels) * np.log(1 - predictions + 1e-5)


def terms_of_hinge(labels, predictions):
    return np.maximum(0, 1 - np.where(labels == 1, 1, -1) * predictions)


def terms_of_softmax(labels, predictions):
    shares = labels / np.maximum(labels.sum(axis=1, keepdims=True), 1)
    exponentials = np.exp(predictions)
    sums = exponentials.sum(axis=1, keepdims=True)
    return -shares * np.log(exponentials / sums)


TERMS = {
    "CrossEntropyLoss": terms_of_cross_entropy,
    "HingeLoss": terms_of_hinge,
    "SoftmaxLoss": terms_of_softmax,
}


def draw_labels(batch_size=6, num_classes=5):
    random = np.random.default_rng(0)
    shape = (batch_size, num_classes)
    labels = (random.random(shape) < 0.4).astype(np.float32)
    predictions = random.uniform(0.01, 0.99, shape).astype(np.float32)
    return labels, predictions


@pytest.mark.parametrize("shape", [(5,), (6, 5)])
@pytest.mark.parametrize("name", TERMS)
def test_weights_multiply_each_class_s_term(name, shape):
    labels, predictions = draw_labels()
    weights = np.random.default_rng(1).uniform(0, 3, shape).astype(np.float32)
    terms = TERMS[name](
        labels.astype(np.float64), predictions.astype(np.float64)
    )
    found = losses.LABEL_LOSSES[name](labels, predictions, weights)
    np.testing.assert_allclose(found, (weights * terms).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", TERMS)
def test_no_weights_are_weights_of_one(name):
    labels, predictions = draw_labels()
    loss = losses.LABEL_LOSSES[name]
    expected = np.asarray(loss(labels, predictions))
    np.testing.assert_array_equal(loss(labels, predictions, None), expected)
    ones = np.ones(5, np.float32)
    np.testing.assert_array_equal(loss(labels, predictions, ones), expected)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "HingeLoss"])
def test_what_has_no_weight_has_no_effect_on_loss_or_gradient(name):
    labels, predictions = draw_labels()
    rated = (np.random.default_rng(2).random((6, 5)) < 0.5).astype(np.float32)
    predictions = tf.constant(predictions)
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        loss = losses.LABEL_LOSSES[name](labels, predictions, rated)
    gradient = tape.gradient(loss, predictions).numpy()
    assert not gradient[rated == 0].any()
    assert gradient[rated == 1].all()
    flipped = np.where(rated == 1, labels, 1 - labels)
    np.testing.assert_array_equal(
        losses.LABEL_LOSSES[name](flipped, predictions, rated), loss
    )


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


CLASS_WEIGHTS = np.array([1, 0.5, 2, 4], np.float32)


@pytest.mark.parametrize("rated", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_and_ratings_multiply_in_both_networks_losses(
    eager, rated, weighted
):
    batch = make_batch()
    weights = np.ones((5, NUM_CLASSES))
    if rated:
        weights = np.random.default_rng(4).random(weights.shape) < 0.6
        batch["label_weights"] = tf.constant(weights)
    if weighted:
        weights = weights * CLASS_WEIGHTS
    teacher, student = make_teacher(), make_student()
    expected = {}
    for role, network in (("teacher", teacher), ("student", student)):
        predictions = numpy_outputs(network, batch)["predictions"]
        labels = batch["labels"].numpy().astype(float)
        terms = terms_of_cross_entropy(labels, predictions)
        expected[role] = (weights * terms).sum(axis=1).mean()
    distiller = Distiller(
        student,
        TRAINING,
        teacher,
        DistillationSettings(),
        CLASS_WEIGHTS if weighted else None,
    )
    found, _ = distiller.train_step(batch, 0.0)
    for role, value in expected.items():
        assert float(found[f"{role}_label_loss"]) == pytest.approx(
            value, rel=1e-4
        )


def test_a_file_holds_a_weight_a_line(tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text("1\n 0.5\n2e1\n\n")
    found = read_class_weights(path, 3)
    assert found.dtype == np.float32
    assert found.tolist() == [1, 0.5, 20]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\n", "{path} ends at line 2; it must hold a weight for each of"),
        ("1\n2\n3\n4\n", "{path} ends at line 4; it must hold a weight for"),
        ("", "{path} ends at line 0"),
        ("1\nrock\n2\n", "{path}, line 2: a class's weight must be a positive"),
        ("1\n\n2\n", "{path}, line 2: a class's weight must be a positive"),
        ("1\n2\n-3\n", "{path}, line 3: a class's weight must be a positive "),
        ("0\n2\n3\n", "{path}, line 1: a class's weight must be a positive nu"),
        ("1\nnan\n3\n", "{path}, line 2: a class's weight must be a positive "),
        ("1\n2\ninf\n", "{path}, line 3: a class's weight must be a positive "),
        ("3,2\n1\n1\n", "{path}, line 1: a class's weight must be a positive "),
    ],
)
def test_a_bad_file_of_weights_is_named_with_the_line(text, message, tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text(text)
    expected = re.escape(message.format(path=path))
    with pytest.raises(ValueError, match=f"^{expected}"):
        read_class_weights(path, 3)

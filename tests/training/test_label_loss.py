"""The loss against labels with the options that the settings give it."""

import dataclasses
import re

import numpy as np
import pytest

from distill.training.label_loss import make_label_loss
from distill.training.trainers import build_trainer
from tests.training.tiny_networks import NUM_CLASSES, TRAINING, run_settings

EPSILON = 1e-5
POSITIVE_WEIGHTS = np.array([1, 3, 0.5, 2, 1.5, 7], np.float32)[:NUM_CLASSES]


def make_examples():
    rng = np.random.default_rng(0)
    labels = (rng.random((4, NUM_CLASSES)) < 0.4).astype(np.float32)
    return labels, rng.random((4, NUM_CLASSES)).astype(np.float32)


def numpy_terms(labels, predictions):
    positive = -labels * np.log(predictions + EPSILON)
    return positive, -(1 - labels) * np.log(1 - predictions + EPSILON)


def change(**settings):
    return dataclasses.replace(TRAINING, **settings)


def test_alpha_weights_the_terms_of_labels_against_the_others():
    positive, negative = numpy_terms(*make_examples())
    loss = make_label_loss(change(label_loss_alpha=0.8))
    expected = (1.6 * positive + 0.4 * negative).sum(axis=1)
    np.testing.assert_allclose(loss(*make_examples()), expected, rtol=1e-5)


def test_the_margin_is_that_of_the_hinge_loss():
    labels, predictions = make_examples()
    loss = make_label_loss(change(label_loss="HingeLoss", hinge_margin=0.3))
    expected = np.maximum(0.3 - (2 * labels - 1) * predictions, 0)
    np.testing.assert_allclose(
        loss(labels, predictions), expected.sum(axis=1), rtol=1e-5
    )


def test_a_file_of_positive_weights_acts_on_the_terms_of_labels(tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text("\n".join(map(str, POSITIVE_WEIGHTS)))
    training = change(positive_class_weights_file=str(path))
    positive, negative = numpy_terms(*make_examples())
    loss = build_trainer(run_settings(None, training)).label_loss
    expected = (POSITIVE_WEIGHTS * positive + negative).sum(axis=1)
    np.testing.assert_allclose(loss(*make_examples()), expected, rtol=1e-5)


def test_a_bad_file_of_positive_weights_is_named_by_its_flag(tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text("1\n")
    training = change(positive_class_weights_file=str(path))
    message = re.escape("classes (--positive_class_weights_file).")
    with pytest.raises(ValueError, match=f"{message}$"):
        build_trainer(run_settings(None, training))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"label_loss": "HingeLoss", "label_loss_alpha": 0.7},
            "label_loss_alpha is for label_loss CrossEntropyLoss, not "
            "HingeLoss.",
        ),
        (
            {"label_loss": "NewLoss", "positive_class_weights_file": "x"},
            "positive_class_weights_file is for label_loss CrossEntropyLoss, "
            "not NewLoss.",
        ),
        (
            {"hinge_margin": 2.0},
            "hinge_margin is for label_loss HingeLoss, not CrossEntropyLoss.",
        ),
        (
            {"label_loss_alpha": 1.5},
            "label_loss_alpha must be at most 1, got 1.5.",
        ),
    ],
)
def test_an_option_of_another_loss_is_an_error(settings, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        change(**settings)

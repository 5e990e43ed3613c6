"""Losses against NumPy and the starter code."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill import losses
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.video_level import VideoLevelClassifier
from distill.settings import training as training_settings
from tests.golden import load_golden_metrics
from tests.numpy_losses import (
    NUMPY_LABEL_LOSSES,
    NUMPY_PREDICTION_LOSSES,
    numpy_kl,
)

GOLDEN_METRICS = ("metrics_small", "metrics_wide", "metrics_ties")


def make_batch(batch_size=6, num_classes=5):
    """Returns labels, of the first video none, and two predictions."""
    rng = np.random.default_rng(0)
    shape = (batch_size, num_classes)
    labels = (rng.random(shape) < 0.4).astype(np.float32)
    labels[0] = 0
    first, second = rng.uniform(0.01, 0.99, (2, *shape)).astype(np.float32)
    return labels, first, second


def in_double_precision(*arrays):
    return tuple(array.astype(np.float64) for array in arrays)


@pytest.mark.parametrize("name", NUMPY_LABEL_LOSSES)
def test_label_losses_are_those_of_numpy_video_by_video(name):
    labels, predictions, _ = make_batch()
    expected = NUMPY_LABEL_LOSSES[name](
        labels.astype(np.float64), predictions.astype(np.float64)
    )
    found = losses.LABEL_LOSSES[name](labels, predictions)
    assert found.shape == (6,)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("loss", NUMPY_LABEL_LOSSES)
@pytest.mark.parametrize("name", GOLDEN_METRICS)
def test_golden_label_losses_are_reproduced(name, loss):
    golden = load_golden_metrics(name)
    found = losses.LABEL_LOSSES[loss](
        golden.labels.astype(np.float32), golden.predictions
    )
    expected = golden.expected["losses"][loss]
    assert float(np.mean(found)) == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_certain_predictions_is_finite():
    labels = np.array([[1, 0], [1, 0]], np.float32)
    predictions = np.array([[1, 0], [0, 1]], np.float32)
    right, wrong = np.asarray(losses.cross_entropy(labels, predictions))
    assert right == pytest.approx(0, abs=3e-5)
    assert wrong == pytest.approx(-2 * np.log(1e-5), rel=1e-5)


def test_softmax_loss_of_a_video_without_labels_is_zero():
    labels, predictions, _ = make_batch()
    assert float(losses.softmax(labels, predictions)[0]) == 0


def test_normalised_kl_is_that_of_numpy_video_by_video():
    _, teacher, student = make_batch()
    expected = numpy_kl(teacher.astype(np.float64), student.astype(np.float64))
    found = losses.normalised_kl(teacher, student)
    assert found.shape == (6,)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_normalised_kl_of_a_hand_made_case():
    """Shares 1/2, 1/2 against 1/4, 3/4; the scale does not matter."""
    teacher = np.array([[0.1, 0.1]], np.float32)
    student = np.array([[0.2, 0.6]], np.float32)
    expected = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    found = losses.normalised_kl(teacher, student)
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_normalised_kl_is_zero_for_predictions_in_proportion():
    _, teacher, _ = make_batch()
    found = losses.normalised_kl(teacher, teacher / 3)
    np.testing.assert_allclose(found, np.zeros(6), atol=1e-6)


def test_normalised_kl_and_its_gradient_are_finite_where_scores_vanish():
    teacher = tf.constant([[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
    student = tf.constant([[0.0, 1.0], [0.5, 0.5], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(student)
        found = losses.normalised_kl(teacher, student)
    assert np.isfinite(found).all()
    assert np.isfinite(tape.gradient(found, student)).all()
    # All of the teacher's share lies where the student's counts as 1e-7.
    assert float(found[0]) == pytest.approx(-np.log(1e-7), rel=1e-4)


def test_squared_distance_is_summed_over_the_vector():
    first = np.array([[1.0, 2.0], [0.0, 0.0]], np.float32)
    second = np.array([[4.0, -2.0], [0.0, 0.5]], np.float32)
    found = losses.squared_distance(first, second)
    np.testing.assert_allclose(found, [25, 0.25])


@pytest.mark.parametrize("name", NUMPY_PREDICTION_LOSSES)
def test_prediction_losses_are_those_of_numpy(name):
    _, teacher, student = make_batch()
    expected = NUMPY_PREDICTION_LOSSES[name](
        *in_double_precision(teacher, student)
    )
    found = losses.PREDICTION_LOSSES[name](teacher, student)
    # Of the correlation one a class, of the others one a video.
    assert found.shape == (5 if name == "correlation" else 6,)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        *losses.LABEL_LOSSES.values(),
        *losses.PREDICTION_LOSSES.values(),
        losses.relational_distance,
        losses.normalized_distance,
    ],
)
def test_losses_are_equal_traced_and_eager(loss):
    labels, first, second = make_batch()
    targets = labels if loss in losses.LABEL_LOSSES.values() else second
    np.testing.assert_allclose(
        tf.function(loss)(targets, first), loss(targets, first), rtol=1e-5
    )


def test_the_losses_are_those_that_the_settings_name():
    assert set(losses.LABEL_LOSSES) == set(training_settings.LABEL_LOSSES)
    assert set(losses.PREDICTION_LOSSES) == set(
        training_settings.PREDICTION_LOSSES
    )
    assert set(losses.REPRESENTATION_LOSSES) == set(
        training_settings.REPRESENTATION_LOSSES
    )


def test_weight_penalty_sums_the_model_s_penalties():
    model = VideoLevelClassifier(MixtureOfExperts(4, moe_l2=0.1))
    model.build({"features": (None, 6)})
    gates, experts, _ = model.classifier.get_weights()
    squares = sum(
        np.square(m, dtype=np.float64).sum() for m in (gates, experts)
    )
    found = float(losses.weight_penalty(model))
    assert found == pytest.approx(0.1 * squares / 2, rel=1e-6)


def test_weight_penalty_of_a_model_without_penalties_is_zero():
    model = keras.Sequential([keras.layers.Dense(2)])
    model.build((None, 3))
    assert float(losses.weight_penalty(model)) == 0

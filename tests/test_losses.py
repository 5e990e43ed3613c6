"""Losses and their gradients against NumPy and the starter code."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill import losses
from distill.models.configs import MixtureConfig
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.video_level import VideoLevelClassifier
from distill.settings import training as training_settings
from tests.golden import load_golden_metrics
from tests.numpy_losses import (
    NUMPY_LABEL_LOSSES,
    NUMPY_PREDICTION_LOSSES,
    NUMPY_REPRESENTATION_LOSSES,
    numpy_relational_distance,
    numpy_soft_cross_entropy,
)

STARTER_LOSSES = ("CrossEntropyLoss", "HingeLoss", "SoftmaxLoss")
GOLDEN_METRICS = ("metrics_small", "metrics_wide", "metrics_ties")
EMBEDDING_LOSSES = {
    **{
        name: (losses.REPRESENTATION_LOSSES[name], function)
        for name, function in NUMPY_REPRESENTATION_LOSSES.items()
    },
    "relational": (losses.relational_distance, numpy_relational_distance),
}
SCORE_LOSSES = {
    name: (losses.PREDICTION_LOSSES[name], function)
    for name, function in NUMPY_PREDICTION_LOSSES.items()
} | {
    f"temperature {t}": (
        functools.partial(losses.soft_cross_entropy, temperature=t),
        functools.partial(numpy_soft_cross_entropy, temperature=t),
    )
    for t in (0.5, 1.0, 3.0, 20.0)
}


def make_labels(batch_size=6, num_classes=5):
    """Returns labels; the first video has none."""
    rng = np.random.default_rng(0)
    labels = (rng.random((batch_size, num_classes)) < 0.4).astype(np.float32)
    labels[0] = 0
    return labels


def make_scores(batch_size=6, num_classes=5):
    """Returns a teacher's and a student's probabilities."""
    rng = np.random.default_rng(1)
    shape = (2, batch_size, num_classes)
    return tuple(rng.uniform(0.01, 0.99, shape).astype(np.float32))


def make_embeddings(batch_size=6, teacher_size=8, student_size=8, norm=1.0):
    """Returns two batches of embeddings of about the same norm."""
    rng = np.random.default_rng(1)
    return tuple(
        (norm / np.sqrt(size) * rng.normal(size=(batch_size, size))).astype(
            np.float32
        )
        for size in (teacher_size, student_size)
    )


def as_double(*arrays):
    return tuple(np.asarray(array, np.float64) for array in arrays)


def loss_and_gradient(loss, targets, values, *rest):
    """Returns a loss and the gradient of its sum in the second argument."""
    values = tf.constant(values, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        found = loss(tf.constant(targets, tf.float32), values, *rest)
    return np.asarray(found), tape.gradient(found, values).numpy()


def numpy_gradient(loss, targets, values, step=1e-6):
    """Returns a sum's gradient by central differences, in float64."""
    targets, values = as_double(targets, values)
    gradient = np.zeros_like(values)
    for place in np.ndindex(values.shape):
        for sign in (1, -1):
            moved = values.copy()
            moved[place] += sign * step
            gradient[place] += sign * loss(targets, moved).sum() / (2 * step)
    return gradient


def check_loss(loss, numpy_loss, targets, values, rtol=1e-5):
    """Compares values and gradients, traced and eager."""
    expected = numpy_loss(*as_double(targets, values))
    gradient = numpy_gradient(numpy_loss, targets, values)
    for function in (loss, tf.function(loss)):
        found, slope = loss_and_gradient(function, targets, values)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6)
        np.testing.assert_allclose(
            slope, gradient, rtol=2e-3, atol=2e-4 * np.abs(gradient).max()
        )


@pytest.mark.parametrize("weights", ["none", "ones", "classes", "pairs"])
@pytest.mark.parametrize("name", NUMPY_LABEL_LOSSES)
def test_label_losses_and_gradients_are_those_of_numpy(name, weights):
    rng = np.random.default_rng(2)
    weights = {
        "none": None,
        "ones": np.ones(5),
        "classes": rng.uniform(0, 3, 5),
        "pairs": rng.uniform(0, 3, (6, 5)),
    }[weights]
    labels = make_labels()
    loss, numpy_loss = losses.LABEL_LOSSES[name], NUMPY_LABEL_LOSSES[name]
    if weights is not None:
        loss = functools.partial(loss, weights=weights.astype(np.float32))
        numpy_loss = functools.partial(numpy_loss, weights=weights)
    check_loss(loss, numpy_loss, labels, make_scores()[0])


@pytest.mark.parametrize("name", SCORE_LOSSES)
def test_prediction_losses_and_gradients_are_those_of_numpy(name):
    # The correlation has one value a class, the others one a video.
    check_loss(*SCORE_LOSSES[name], *make_scores())


@pytest.mark.parametrize("norm", [0.01, 1, 100])
@pytest.mark.parametrize("name", EMBEDDING_LOSSES)
def test_embedding_losses_and_gradients_are_those_of_numpy(name, norm):
    loss, numpy_loss = EMBEDDING_LOSSES[name]
    teacher, student = make_embeddings(norm=norm)
    expected = numpy_loss(*as_double(teacher, student))
    found, gradient = loss_and_gradient(loss, teacher, student)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    slope = numpy_gradient(numpy_loss, teacher, student, 1e-6 * norm)
    np.testing.assert_allclose(
        gradient, slope, rtol=2e-3, atol=2e-4 * np.abs(slope).max()
    )
    traced = tf.function(loss)(teacher, student)
    np.testing.assert_allclose(traced, found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", STARTER_LOSSES)
@pytest.mark.parametrize("name", GOLDEN_METRICS)
def test_golden_label_losses_are_reproduced(name, loss):
    golden = load_golden_metrics(name)
    found = losses.LABEL_LOSSES[loss](
        golden.labels.astype(np.float32), golden.predictions
    )
    expected = golden.expected["losses"][loss]
    assert float(np.mean(found)) == pytest.approx(expected, rel=1e-6)


EXTREMES = {
    "all 0": np.zeros((4, 3)),
    "all 1": np.ones((4, 3)),
    "ties": np.full((4, 3), 0.3),
    "opposite": np.tile([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], (2, 1)),
    "one class": np.array([[0.0], [1.0], [0.5], [0.5]]),
    "one video": np.array([[0.0, 1.0, 0.5]]),
    "no video": np.zeros((0, 3)),
}


@pytest.mark.parametrize("teacher", ["same", "reversed", "zeros"])
@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize(
    "loss",
    [
        *losses.LABEL_LOSSES.values(),
        *losses.PREDICTION_LOSSES.values(),
        *losses.REPRESENTATION_LOSSES.values(),
        losses.relational_distance,
        functools.partial(losses.soft_cross_entropy, temperature=4.0),
    ],
)
def test_extremes_have_a_finite_loss_and_gradient(loss, extreme, teacher):
    values = EXTREMES[extreme]
    targets = {"same": values, "reversed": 1 - values, "zeros": 0 * values}
    found, gradient = loss_and_gradient(loss, targets[teacher], values)
    if not values.size and loss is losses.correlation_distance:
        # Of no video it is not a number; the step leaves such a batch out.
        return
    assert np.isfinite(found).all()
    assert np.isfinite(gradient).all()


def test_cross_entropy_of_certain_predictions():
    labels = np.array([[1, 0], [1, 0]], np.float32)
    predictions = np.array([[1, 0], [0, 1]], np.float32)
    right, wrong = np.asarray(losses.cross_entropy(labels, predictions))
    assert right == pytest.approx(0, abs=3e-5)
    assert wrong == pytest.approx(-2 * np.log(1e-5), rel=1e-5)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "HingeLoss"])
def test_a_label_of_weight_0_has_no_effect_on_loss_or_gradient(name):
    labels, (predictions, _) = make_labels(), make_scores()
    rated = (np.random.default_rng(2).random((6, 5)) < 0.5).astype(np.float32)
    loss = losses.LABEL_LOSSES[name]
    found, gradient = loss_and_gradient(loss, labels, predictions, rated)
    assert not gradient[rated == 0].any()
    assert gradient[rated == 1].all()
    flipped = np.where(rated == 1, labels, 1 - labels)
    np.testing.assert_array_equal(loss(flipped, predictions, rated), found)


def test_normalised_kl_of_a_hand_made_case():
    """Normalised to 1/2, 1/2 and 1/4, 3/4; the scale does not matter."""
    teacher = np.array([[0.1, 0.1]], np.float32)
    student = np.array([[0.2, 0.6]], np.float32)
    expected = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    found = losses.normalised_kl(teacher, student)
    np.testing.assert_allclose(found, [expected], rtol=1e-6)
    proportional = losses.normalised_kl(teacher, teacher / 3)
    np.testing.assert_allclose(proportional, [0], atol=1e-6)


def test_normalised_kl_counts_a_score_of_0_as_1e_7():
    found = losses.normalised_kl(
        tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 1.0]])
    )
    assert float(found[0]) == pytest.approx(-np.log(1e-7), rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 100.0])
def test_the_gradient_keeps_its_scale_at_every_temperature(temperature):
    """At 1 it is the probabilities' difference, far above the logits' / 4.

    Hinton, Vinyals and Dean 2015, equation 4, for independent classes.
    """
    scores = make_scores()
    teacher, student = scores
    logits = [np.log(p / (1 - p)) for p in scores]
    _, found = loss_and_gradient(
        lambda targets, values: losses.soft_cross_entropy(
            targets, tf.sigmoid(values), temperature
        ),
        teacher,
        logits[1],
    )
    expected = (logits[1] - logits[0]) / 4
    if temperature == 1:
        expected = student - teacher
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
def test_correlation_is_that_of_numpy_however_small_the_scores(scale):
    """Most of thousands of classes have scores of 1e-4 and less."""
    teacher, student = make_scores(64)
    teacher, student = scale * teacher, scale * (teacher + student) / 2
    found = losses.correlation_distance(teacher, student)
    expected = NUMPY_PREDICTION_LOSSES["correlation"](
        *as_double(teacher, student)
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_correlation_ignores_shift_and_scale_and_is_1_for_equal_scores():
    teacher, student = make_scores()
    for factor, expected in ((0.5, 0), (-0.5, 2)):
        found = losses.correlation_distance(teacher, 0.5 + factor * teacher)
        np.testing.assert_allclose(found, np.full(5, expected), atol=1e-5)
    constant = np.full_like(teacher, 0.3)
    for pair in ((constant, student), (teacher, constant), (constant,) * 2):
        found = losses.correlation_distance(*pair)
        np.testing.assert_allclose(found, np.ones(5), atol=1e-5)


@pytest.mark.parametrize("sizes", [(64, 4096), (5, 8)])
def test_relational_distance_compares_embeddings_of_other_widths(sizes):
    embeddings = make_embeddings(6, *sizes)
    expected = numpy_relational_distance(*as_double(*embeddings))
    found = losses.relational_distance(*embeddings)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_relational_distance_ignores_scale_rotation_and_shift():
    teacher, _ = make_embeddings()
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))
    moved = (3 * teacher @ rotation + 0.5).astype(np.float32)
    found = losses.relational_distance(teacher, moved)
    np.testing.assert_allclose(found, np.zeros(6), atol=1e-8)


@pytest.mark.parametrize("norm", [0.1, 1, 30])
def test_identical_videos_have_no_distance_and_a_bounded_gradient(norm):
    teacher, student = make_embeddings(norm=norm)
    teacher[1], student[1] = teacher[0], student[0]
    found, gradient = loss_and_gradient(
        losses.relational_distance, teacher, student
    )
    expected = numpy_relational_distance(*as_double(teacher, student))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    # Moving an embedding by its norm changes relative distances by about 1.
    assert np.abs(gradient).max() < 10 / norm


@pytest.mark.parametrize("alike", [1, 3])
def test_without_pairs_that_differ_the_relational_distance_is_zero(alike):
    embedding = np.array([[3.0, -2.0, 0.1]] * alike, np.float32)
    found, gradient = loss_and_gradient(
        losses.relational_distance, 2 * embedding, embedding
    )
    np.testing.assert_array_equal(found, np.zeros(alike))
    assert np.isfinite(gradient).all()


def test_normalized_distance_ignores_scale():
    teacher, student = make_embeddings()
    numpy_loss = NUMPY_REPRESENTATION_LOSSES["normalized_distance"]
    expected = numpy_loss(*as_double(teacher, student))
    for factor in (1e-3, 7):
        found = losses.normalized_distance(teacher, factor * student)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    opposite = losses.normalized_distance(teacher, -2 * teacher)
    np.testing.assert_allclose(opposite, np.full(6, 4), rtol=1e-6)


def test_the_losses_are_those_that_the_settings_name():
    for name in ("LABEL_LOSSES", "PREDICTION_LOSSES", "REPRESENTATION_LOSSES"):
        choices = getattr(training_settings, name)
        assert set(getattr(losses, name)) == set(choices)


def test_weight_penalty_sums_the_model_s_penalties():
    model = VideoLevelClassifier(MixtureOfExperts(4, MixtureConfig(l2=0.1)))
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

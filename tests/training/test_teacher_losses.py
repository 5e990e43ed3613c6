"""What tells a student from its teacher, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from distill import losses
from tests.numpy_losses import (
    NUMPY_REPRESENTATION_LOSSES,
    numpy_normalized_distance,
    numpy_relational_distance,
    numpy_soft_cross_entropy,
)


def make_scores(batch_size=6, num_classes=5):
    """Returns a teacher's and a student's probabilities."""
    rng = np.random.default_rng(0)
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


def in_double_precision(*arrays):
    return tuple(array.astype(np.float64) for array in arrays)


@pytest.mark.parametrize("name", NUMPY_REPRESENTATION_LOSSES)
@pytest.mark.parametrize("norm", [1e-3, 1, 100])
def test_representation_losses_are_those_of_numpy(name, norm):
    embeddings = make_embeddings(norm=norm)
    expected = NUMPY_REPRESENTATION_LOSSES[name](
        *in_double_precision(*embeddings)
    )
    found = losses.REPRESENTATION_LOSSES[name](*embeddings)
    assert found.shape == (6,)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0, 20.0])
def test_soft_cross_entropy_divides_the_logits_by_the_temperature(temperature):
    teacher, student = make_scores()
    found = losses.soft_cross_entropy(teacher, student, temperature)
    expected = numpy_soft_cross_entropy(
        *in_double_precision(teacher, student), temperature
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_soft_cross_entropy_of_temperature_1_is_the_cross_entropy():
    teacher, student = make_scores()
    for targets in (np.round(teacher), teacher):
        np.testing.assert_array_equal(
            losses.soft_cross_entropy(targets, student),
            losses.cross_entropy(targets, student),
        )


@pytest.mark.parametrize("temperature", [1.0, 100.0])
def test_the_gradient_keeps_its_scale_at_every_temperature(temperature):
    """At 1 it is the probabilities' difference, far above the logits' / 4.

    Hinton, Vinyals and Dean 2015, equation 4, for independent classes.
    """
    teacher, student = make_scores()
    teacher_logits, student_logits = (
        np.log(p / (1 - p)) for p in (teacher, student)
    )
    logits = tf.constant(student_logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = losses.soft_cross_entropy(
            teacher, tf.sigmoid(logits), temperature
        )
    expected = (
        student - teacher
        if temperature == 1
        else (student_logits - teacher_logits) / 4
    )
    found = tape.gradient(loss, logits)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_soft_cross_entropy_of_certain_predictions_is_finite():
    teacher = tf.constant([[1.0, 0.0, 1.0, 0.0]])
    student = tf.constant([[1.0, 0.0, 0.0, 1.0]])
    for temperature in (1.0, 2.0):
        with tf.GradientTape() as tape:
            tape.watch(student)
            found = losses.soft_cross_entropy(teacher, student, temperature)
        assert np.isfinite(found).all()
        assert np.isfinite(tape.gradient(found, student)).all()


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
def test_correlation_is_that_of_numpy_however_small_the_scores(scale):
    """Most of thousands of classes have scores of 1e-4 and less."""
    teacher, student = make_scores(64)
    teacher, student = scale * teacher, scale * (teacher + student) / 2
    found = losses.correlation_distance(teacher, student)
    expected = [
        1 - np.corrcoef(*columns)[0, 1]
        for columns in zip(
            *(a.T for a in in_double_precision(teacher, student)), strict=True
        )
    ]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_class_of_one_score_has_the_correlation_distance_1():
    teacher, student = make_scores()
    constant = np.full_like(teacher, 0.3)
    for pair in ((constant, student), (teacher, constant), (constant,) * 2):
        variables = [tf.constant(scores) for scores in pair]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            found = losses.correlation_distance(*variables)
        np.testing.assert_allclose(found, np.ones(5), atol=1e-5)
        for gradient in tape.gradient(found, variables):
            assert np.isfinite(gradient).all()


def test_correlation_does_not_see_shift_and_scale():
    teacher, _ = make_scores()
    for factor, expected in ((0.5, 0), (-0.5, 2)):
        found = losses.correlation_distance(teacher, 0.5 + factor * teacher)
        np.testing.assert_allclose(found, np.full(5, expected), atol=1e-5)


@pytest.mark.parametrize("norm", [0.01, 1, 100])
@pytest.mark.parametrize("sizes", [(8, 8), (64, 4096)])
def test_relational_distance_is_that_of_loops(sizes, norm):
    embeddings = make_embeddings(6, *sizes, norm)
    expected = numpy_relational_distance(*in_double_precision(*embeddings))
    found = losses.relational_distance(*embeddings)
    assert found.shape == (6,)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_relational_distance_does_not_see_scale_rotation_and_shift():
    teacher, _ = make_embeddings()
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))
    moved = (3 * teacher @ rotation + 0.5).astype(np.float32)
    found = losses.relational_distance(teacher, moved)
    np.testing.assert_allclose(found, np.zeros(6), atol=1e-8)


@pytest.mark.parametrize("norm", [0.1, 1, 30])
def test_identical_videos_have_no_distance_and_a_finite_gradient(norm):
    teacher, student = make_embeddings(norm=norm)
    teacher[1], student[1] = teacher[0], student[0]
    watched = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        found = losses.relational_distance(teacher, watched)
    expected = numpy_relational_distance(*in_double_precision(teacher, student))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    gradient = tape.gradient(found, watched).numpy()
    # A move of an embedding by its norm changes what is relative by about 1.
    assert np.abs(gradient).max() < 10 / norm


@pytest.mark.parametrize("alike", [1, 3])
def test_without_pairs_that_differ_the_relational_distance_is_zero(alike):
    embedding = np.array([[3.0, -2.0, 0.1]] * alike, np.float32)
    watched = tf.constant(embedding)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        found = losses.relational_distance(2 * embedding, watched)
    np.testing.assert_array_equal(found, np.zeros(alike))
    assert np.isfinite(tape.gradient(found, watched)).all()


def test_normalized_distance_does_not_see_scale():
    teacher, student = make_embeddings()
    expected = numpy_normalized_distance(*in_double_precision(teacher, student))
    for factor in (1e-3, 7):
        found = losses.normalized_distance(teacher, factor * student)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    opposite = losses.normalized_distance(teacher, -2 * teacher)
    np.testing.assert_allclose(opposite, np.full(6, 4), rtol=1e-6)

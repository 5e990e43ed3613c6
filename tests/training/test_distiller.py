"""What one training step does to teacher and student."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.networks.network import video_inputs
from distill.settings.training import DistillationSettings
from distill.training.distiller import Distiller
from tests.training.tiny_networks import (
    BOTH_TERMS,
    NO_TERMS,
    NUM_CLASSES,
    TRAINING,
    as_read_alone,
    make_batch,
    make_pair_distiller,
    make_student,
    make_teacher,
    make_video_level,
    numpy_label_loss,
    numpy_outputs,
)


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(params=["eager", "traced"])
def either_mode(request):
    """Runs a test without graphs, then with them."""
    tf.config.run_functions_eagerly(request.param == "eager")
    yield
    tf.config.run_functions_eagerly(False)


def test_the_student_s_losses_never_reach_the_teacher(either_mode):
    """It becomes, bit for bit, the teacher that was trained alone."""
    joint_teacher = make_teacher(dropout=0.5)
    alone_teacher = make_teacher(dropout=0.5)
    before = joint_teacher.model.get_weights()
    joint = Distiller(make_student(), TRAINING, joint_teacher, BOTH_TERMS)
    alone = Distiller(alone_teacher, TRAINING)
    for seed in range(4):
        joint.train_step(make_batch(seed=seed), 0.05)
        alone.train_step(make_batch(seed=seed), 0.05)
    for old, beside, by_itself in zip(
        before,
        joint_teacher.model.get_weights(),
        alone_teacher.model.get_weights(),
        strict=True,
    ):
        assert np.abs(beside - old).max() > 0.01
        np.testing.assert_array_equal(beside, by_itself)


def test_without_distillation_terms_the_student_learns_as_if_alone(eager):
    student, alone_student = make_student(), make_student()
    joint = Distiller(student, TRAINING, make_teacher(), NO_TERMS)
    alone = Distiller(alone_student, TRAINING)
    for seed in range(2):
        batch = make_batch(seed=seed)
        joint.train_step(batch, 0.05)
        alone.train_step(as_read_alone(batch), 0.05)
    for beside, by_itself in zip(
        student.model.get_weights(),
        alone_student.model.get_weights(),
        strict=True,
    ):
        np.testing.assert_allclose(beside, by_itself, atol=1e-5)


def test_distillation_terms_move_the_student_elsewhere(eager):
    student, alone_student = make_student(), make_student()
    joint = Distiller(student, TRAINING, make_teacher(), BOTH_TERMS)
    batch = make_batch()
    joint.train_step(batch, 0.05)
    alone = Distiller(alone_student, TRAINING)
    alone.train_step(as_read_alone(batch), 0.05)
    kernels = [
        network.model.upper.lstms[0].get_weights()[0]
        for network in (student, alone_student)
    ]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3


def test_the_loss_is_the_sum_of_its_terms(eager):
    terms, _ = make_pair_distiller().train_step(make_batch(), 0.05)
    loss = terms.pop("loss")
    assert len(terms) == 6
    assert float(loss) == pytest.approx(sum(map(float, terms.values())))


def test_each_variable_s_gradient_is_clipped_by_itself(eager):
    rate, clip = 0.5, 1e-3
    training = dataclasses.replace(
        TRAINING, optimizer="SGD", clip_gradient_norm=clip
    )
    distiller = make_pair_distiller(training=training)
    before = [np.asarray(variable) for variable in distiller.variables]
    distiller.train_step(make_batch(), rate)
    moves = [
        np.linalg.norm(np.asarray(variable) - old)
        for variable, old in zip(distiller.variables, before, strict=True)
    ]
    assert max(moves) <= rate * clip * (1 + 1e-3)
    # Most gradients are longer than the limit: each of them is cut to it.
    at_the_limit = np.isclose(moves, rate * clip, rtol=1e-3)
    assert at_the_limit.mean() > 0.5


def test_without_clipping_a_step_is_the_rate_times_the_gradient(eager):
    training = dataclasses.replace(
        TRAINING, optimizer="SGD", clip_gradient_norm=0.0
    )
    student = make_student()
    batch = make_batch()
    bias = student.model.classifier.experts_bias
    before, step = np.asarray(bias), 1e-2
    slopes = np.zeros(len(before))
    for index, unit in enumerate(np.eye(len(before))):
        for sign in (1, -1):
            bias.assign(before + sign * step * unit)
            outputs = numpy_outputs(student, batch)
            slopes[index] += (sign / (2 * step)) * numpy_label_loss(
                batch["labels"].numpy(), outputs["predictions"]
            )
    bias.assign(before)
    Distiller(student, training).train_step(as_read_alone(batch), 0.5)
    np.testing.assert_allclose(
        before - np.asarray(bias), 0.5 * slopes, rtol=1e-2, atol=1e-4
    )


def test_one_step_counter_advances_by_one_a_step(eager):
    distiller = make_pair_distiller()
    for step in range(1, 4):
        distiller.train_step(make_batch(seed=step), 0.05)
        assert int(distiller.optimizer.iterations) == step


def test_a_step_uses_the_rate_it_is_given(eager):
    distiller = make_pair_distiller()
    before = [np.asarray(variable) for variable in distiller.variables]
    distiller.train_step(make_batch(), 0.0)
    for variable, old in zip(distiller.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)
    assert float(distiller.optimizer.learning_rate) == 0


class CountingDistiller(Distiller):
    """Counts how often its step is traced."""

    num_traces = 0

    def loss_terms(self, inputs, labels):
        """Counts the call."""
        self.num_traces += 1
        return super().loss_terms(inputs, labels)


def test_one_graph_serves_the_last_partial_batch_as_eager_mode_does():
    arguments = (TRAINING, make_teacher(), BOTH_TERMS)
    distiller = CountingDistiller(make_student(), *arguments)
    for batch_size in (5, 2, 1):
        batch = make_batch(batch_size)
        expected, _ = distiller.loss_terms(video_inputs(batch), batch["labels"])
        terms, predictions = distiller.train_step(batch, 0.05)
        assert predictions["student"].shape == (batch_size, NUM_CLASSES)
        assert predictions["teacher"].shape == (batch_size, NUM_CLASSES)
        for name, term in expected.items():
            assert float(terms[name]) == pytest.approx(float(term), rel=1e-4)
    eager_calls = 3
    assert distiller.num_traces == eager_calls + 1


def test_a_student_approaches_a_teacher_that_stands_still():
    teacher = make_video_level("teacher", "MoeModel")
    student = make_video_level("student", "LogisticModel")
    distillation = DistillationSettings(
        teacher_label_loss_weight=0.0,
        student_label_loss_weight=0.0,
        representation_loss_weight=0.0,
        prediction_loss_weight=1.0,
    )
    training = dataclasses.replace(TRAINING, regularization_penalty=0.0)
    distiller = Distiller(student, training, teacher, distillation)
    features = np.random.default_rng(0).normal(size=(20, 5))
    labels = np.ones((20, NUM_CLASSES), bool)
    batch = {
        "features": tf.constant(features, tf.float32),
        "labels": tf.constant(labels),
    }
    before = teacher.model.get_weights()
    losses = [
        float(distiller.train_step(batch, 0.05)[0]["prediction_loss"])
        for _ in range(100)
    ]
    assert losses[-1] < 0.05 * losses[0]
    for weight, old in zip(teacher.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)

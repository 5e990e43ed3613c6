"""The terms of the loss against NumPy, from the two models' outputs."""

import dataclasses

import numpy as np
import pytest

from distill.networks import video_inputs
from distill.settings import DistillationSettings
from distill.training.distiller import Distiller
from tests.training.tiny_networks import (
    NO_TERMS,
    TRAINING,
    make_batch,
    make_pair_distiller,
    make_student,
    numpy_kl,
    numpy_label_loss,
    numpy_outputs,
    numpy_penalty,
)


def loss_terms(distiller, batch):
    """Returns the terms as numbers, and the predictions."""
    terms, predictions = distiller.loss_terms(
        video_inputs(batch), batch["labels"]
    )
    return {name: float(term) for name, term in terms.items()}, predictions


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("prediction_loss", ["kl", "squared_error"])
def test_terms_are_those_computed_from_the_two_models_outputs(
    prediction_loss, reduction
):
    distillation = DistillationSettings(
        teacher_label_loss_weight=0.5,
        student_label_loss_weight=0.25,
        representation_loss_weight=3.0,
        prediction_loss_weight=5.0,
        prediction_loss=prediction_loss,
        prediction_loss_reduction=reduction,
    )
    training = dataclasses.replace(TRAINING, regularization_penalty=2.0)
    distiller = make_pair_distiller(distillation, training)
    batch = make_batch()
    teacher = numpy_outputs(distiller.teacher, batch)
    student = numpy_outputs(distiller.student, batch)
    if prediction_loss == "kl":
        divergence = numpy_kl(teacher["predictions"], student["predictions"])
    else:
        difference = teacher["predictions"] - student["predictions"]
        divergence = np.square(difference).sum(axis=1)
    distance = teacher["embedding"] - student["embedding"]
    labels = batch["labels"].numpy()
    expected = {
        "teacher_label_loss": 0.5
        * numpy_label_loss(labels, teacher["predictions"]),
        "student_label_loss": 0.25
        * numpy_label_loss(labels, student["predictions"]),
        "teacher_penalty": 2 * numpy_penalty(distiller.teacher),
        "student_penalty": 2 * numpy_penalty(distiller.student),
        "representation_loss": 3 * np.square(distance).sum(axis=1).mean(),
        "prediction_loss": 5 * getattr(divergence, reduction)(),
    }
    found, predictions = loss_terms(distiller, batch)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    for name, outputs in (("teacher", teacher), ("student", student)):
        np.testing.assert_allclose(
            predictions[name], outputs["predictions"], atol=1e-6
        )


def test_a_student_alone_has_its_label_loss_and_penalty_alone():
    student = make_student()
    batch = make_batch()
    outputs = numpy_outputs(student, batch)
    expected = {
        "student_label_loss": numpy_label_loss(
            batch["labels"].numpy(), outputs["predictions"]
        ),
        "student_penalty": numpy_penalty(student),
    }
    found, predictions = loss_terms(Distiller(student, TRAINING), batch)
    assert found == pytest.approx(expected, rel=1e-5)
    assert set(predictions) == {"student"}


def test_a_term_of_weight_zero_is_left_out():
    terms, _ = loss_terms(make_pair_distiller(NO_TERMS), make_batch())
    assert "representation_loss" not in terms
    assert "prediction_loss" not in terms

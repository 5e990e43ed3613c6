"""The terms of the loss against NumPy, from the networks' outputs."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from distill.networks.network import video_inputs
from distill.settings.training import DistillationSettings
from distill.training.distillation_terms import DistillationTerms
from distill.training.distiller import Distiller
from tests.numpy_losses import (
    NUMPY_PREDICTION_LOSSES,
    NUMPY_REPRESENTATION_LOSSES,
    numpy_kl,
    numpy_relational_distance,
    numpy_soft_cross_entropy,
    numpy_squared_distance,
)
from tests.training.tiny_networks import (
    NO_TERMS,
    TRAINING,
    as_read_alone,
    make_batch,
    make_pair_distiller,
    make_student,
    numpy_label_loss,
    numpy_outputs,
    numpy_penalty,
)

ALL_TERMS = DistillationSettings(
    representation_loss_weight=3.0,
    prediction_loss_weight=5.0,
    relational_loss_weight=7.0,
)
WEIGHTS = {
    "representation_loss": 3,
    "prediction_loss": 5,
    "relational_loss": 7,
}


def loss_terms(distiller, batch):
    """Returns the terms as numbers, and the predictions."""
    terms, predictions = distiller.loss_terms(
        video_inputs(batch), batch["labels"]
    )
    return {name: float(term) for name, term in terms.items()}, predictions


def numpy_terms(distiller, batch):
    """Returns the two networks' own terms, and their outputs, in NumPy."""
    terms, outputs = {}, {}
    for role in ("teacher", "student"):
        network = getattr(distiller, role)
        outputs[role] = numpy_outputs(network, batch)
        terms[f"{role}_label_loss"] = numpy_label_loss(
            batch["labels"].numpy(), outputs[role]["predictions"]
        )
        terms[f"{role}_penalty"] = numpy_penalty(network)
    return terms, outputs


@pytest.mark.parametrize(
    ("representation_loss", "reduction"),
    [("squared_distance", "mean"), ("normalized_distance", "sum")],
)
@pytest.mark.parametrize("prediction_loss", NUMPY_PREDICTION_LOSSES)
def test_terms_are_those_computed_from_the_two_models_outputs(
    prediction_loss, representation_loss, reduction
):
    distillation = dataclasses.replace(
        ALL_TERMS,
        teacher_label_loss_weight=0.5,
        student_label_loss_weight=0.25,
        representation_loss=representation_loss,
        prediction_loss=prediction_loss,
        prediction_loss_reduction=reduction,
    )
    training = dataclasses.replace(TRAINING, regularization_penalty=2.0)
    distiller = make_pair_distiller(distillation, training)
    batch = make_batch()
    own_terms, outputs = numpy_terms(distiller, batch)
    predictions, embeddings = (
        [outputs[role][key] for role in ("teacher", "student")]
        for key in ("predictions", "embedding")
    )
    distance = NUMPY_REPRESENTATION_LOSSES[representation_loss](*embeddings)
    divergence = NUMPY_PREDICTION_LOSSES[prediction_loss](*predictions)
    expected = {
        "teacher_label_loss": 0.5 * own_terms["teacher_label_loss"],
        "student_label_loss": 0.25 * own_terms["student_label_loss"],
        "teacher_penalty": 2 * own_terms["teacher_penalty"],
        "student_penalty": 2 * own_terms["student_penalty"],
        "representation_loss": 3 * distance.mean(),
        "prediction_loss": 5 * getattr(divergence, reduction)(),
        "relational_loss": 7 * numpy_relational_distance(*embeddings).mean(),
    }
    found, found_predictions = loss_terms(distiller, batch)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    for role in ("teacher", "student"):
        np.testing.assert_allclose(
            found_predictions[role], outputs[role]["predictions"], atol=1e-6
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
    found, predictions = loss_terms(
        Distiller(student, TRAINING), as_read_alone(batch)
    )
    assert found == pytest.approx(expected, rel=1e-5)
    assert set(predictions) == {"student"}


def test_a_term_of_weight_zero_is_left_out():
    terms, _ = loss_terms(make_pair_distiller(NO_TERMS), make_batch())
    assert set(terms) == {
        f"{role}_{term}"
        for role in ("teacher", "student")
        for term in ("label_loss", "penalty")
    }


def draw_outputs(*embedding_sizes, batch_size=6, num_classes=4):
    """Returns outputs of networks of these widths, float32."""
    random = np.random.default_rng(5)
    return [
        {
            "embedding": random.normal(size=(batch_size, size)),
            "predictions": random.uniform(0.05, 0.9, (batch_size, num_classes)),
        }
        for size in embedding_sizes
    ]


def as_tensors(outputs):
    return {key: tf.constant(a, tf.float32) for key, a in outputs.items()}


def make_terms(distillation, *embedding_sizes):
    """Returns the terms of a student, the last width, and its teachers."""
    *teachers, student = (
        types.SimpleNamespace(embedding_size=size) for size in embedding_sizes
    )
    return DistillationTerms(distillation, student, teachers)


def test_several_teachers_teach_their_mean_prediction_and_mean_distance():
    sizes = (8, 5, 8, 8)
    *teachers, student = draw_outputs(*sizes)
    terms = make_terms(ALL_TERMS, *sizes)
    embeddings = []
    for size, projection in zip(sizes[:3], terms.projections, strict=True):
        if size == 8:
            assert projection is None
            embeddings.append(student["embedding"])
        else:
            kernel, bias = (np.asarray(w) for w in projection.weights)
            assert kernel.shape == (8, size)
            embeddings.append(student["embedding"] @ kernel + bias)
    assert len(terms.variables) == 2
    found = terms(list(map(as_tensors, teachers)), as_tensors(student), 1.0)
    mean_prediction = sum(t["predictions"] for t in teachers) / 3
    distances = [
        numpy_squared_distance(teacher["embedding"], embedding).mean()
        for teacher, embedding in zip(teachers, embeddings, strict=True)
    ]
    # Of the student's own embedding: widths do not matter here.
    relations = [
        numpy_relational_distance(t["embedding"], student["embedding"]).mean()
        for t in teachers
    ]
    divergence = numpy_kl(mean_prediction, student["predictions"]).mean()
    expected = {
        "representation_loss": 3 * np.mean(distances),
        "relational_loss": 7 * np.mean(relations),
        "prediction_loss": 5 * divergence,
    }
    found = {name: float(term) for name, term in found.items()}
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_temperature_is_that_of_the_cross_entropy():
    teacher, student = draw_outputs(3, 3)
    distillation = dataclasses.replace(
        NO_TERMS,
        prediction_loss_weight=2.0,
        prediction_loss="cross_entropy",
        temperature=4.0,
    )
    terms = make_terms(distillation, 3, 3)
    assert terms.variables == []
    found = terms([as_tensors(teacher)], as_tensors(student), 1.0)
    expected = numpy_soft_cross_entropy(
        teacher["predictions"], student["predictions"], 4
    )
    assert set(found) == {"prediction_loss"}
    assert float(found["prediction_loss"]) == pytest.approx(
        2 * expected.mean(), rel=1e-5
    )


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_normalized_term_is_its_share_of_the_label_loss(name):
    """Its gradient is the plain term's, times label loss over that term."""
    teacher, student = map(as_tensors, draw_outputs(8, 8))
    label_loss = tf.constant(2.5)
    found, gradients = {}, {}
    for normalize in (False, True):
        distillation = dataclasses.replace(ALL_TERMS, normalize_terms=normalize)
        terms = make_terms(distillation, 8, 8)
        read = [*student.values(), label_loss]
        with tf.GradientTape() as tape:
            tape.watch(read)
            found[normalize] = terms([teacher], student, label_loss)[name]
        gradients[normalize] = tape.gradient(found[normalize], read)
    weight = WEIGHTS[name]
    assert float(found[True]) == pytest.approx(weight * 2.5, rel=1e-6)
    scale = 2.5 / (float(found[False]) / weight)
    assert abs(scale - 1) > 0.1
    for plain, normalized in zip(
        gradients[False], gradients[True], strict=True
    ):
        assert (plain is None) == (normalized is None)
        if plain is not None:
            assert np.abs(plain).max() > 1e-3
            np.testing.assert_allclose(
                normalized, scale * plain, rtol=1e-4, atol=1e-6
            )
    # The label loss is a scale here: no gradient reaches it.
    assert gradients[True][-1] is None


def test_normalized_terms_are_scaled_to_the_label_loss_before_its_weight():
    distillation = dataclasses.replace(
        ALL_TERMS,
        normalize_terms=True,
        student_label_loss_weight=0.25,
        final_label_factor=0.0,
    )
    distiller = make_pair_distiller(distillation)
    distiller.progress.assign(1.0)
    batch = make_batch()
    label_loss = numpy_terms(distiller, batch)[0]["student_label_loss"]
    terms, _ = loss_terms(distiller, batch)
    assert terms["student_label_loss"] == 0
    for name, weight in WEIGHTS.items():
        assert terms[name] == pytest.approx(weight * label_loss, rel=1e-4)


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_final_factors_are_reached_linearly_from_1(eager):
    final = dataclasses.replace(
        ALL_TERMS, final_distillation_factor=0.2, final_label_factor=3.0
    )
    batch = make_batch()
    plain, _ = loss_terms(make_pair_distiller(ALL_TERMS), batch)
    distiller = make_pair_distiller(final)
    for progress, label, distance in ((0, 1, 1), (0.5, 2, 0.6), (1, 3, 0.2)):
        factors = dict.fromkeys(WEIGHTS, distance) | {
            "student_label_loss": label
        }
        expected = {
            name: factors.get(name, 1) * term for name, term in plain.items()
        }
        found, _ = distiller.train_step(batch, 0.0, progress)
        found = {name: float(term) for name, term in found.items()}
        total = found.pop("loss")
        assert found == pytest.approx(expected, rel=1e-4)
        assert total == pytest.approx(sum(expected.values()), rel=1e-4)

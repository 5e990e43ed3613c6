"""Every regime and term of a step against an independent NumPy distiller."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.network import video_inputs
from distill.settings.training import (
    LABEL_LOSSES,
    PREDICTION_LOSSES,
    DistillationSettings,
)
from distill.training.distillation_terms import DistillationTerms
from distill.training.distiller import Distiller
from distill.training.ema import NetworkEma
from distill.training.micro_batches import MicroBatchPlan
from tests.training.numpy_distiller import expected_step
from tests.training.tiny_networks import (
    BOTH_TERMS,
    NUM_CLASSES,
    TRAINING,
    make_batch,
    make_network,
    make_pair_distiller,
    make_student,
    make_teacher,
)

HALF = FrameBudget.every(2)
OFFSET = FrameBudget("uniform_k", num_frames=4, random_offset=True)
CLASS_WEIGHTS = np.array([1, 0.5, 2, 4], np.float32)
RATE = 0.5
ALL_TERMS = {
    "representation_loss_weight": 3.0,
    "prediction_loss_weight": 5.0,
    "relational_loss_weight": 7.0,
}
SUM = {"prediction_loss_reduction": "sum"}
NORMALIZED = {"normalize_terms": True}
FINAL = {"final_distillation_factor": 0.2, "final_label_factor": 3.0}


@dataclasses.dataclass(frozen=True)
class Case:
    """One step: networks, settings and batch.

    Attributes:
      terms: Fields of `DistillationSettings` beside `ALL_TERMS`.
      training: Fields of `TrainingSettings`.
      regime: `parallel`, `ema`, `serial`, `mimic` or `labels`.
      weights: Weights of the serial teachers.
      rated: Whether only some labels count, as those of segments.
      class_weights: Whether classes have weights.
      budget: The student's frames.
      pieces: Micro-batches.
      size: Videos.
      progress: From 0 in the first epoch to 1 in the last.
    """

    terms: dict = dataclasses.field(default_factory=dict)
    training: dict = dataclasses.field(default_factory=dict)
    regime: str = "parallel"
    weights: tuple = ()
    rated: bool = False
    class_weights: bool = False
    budget: FrameBudget = HALF
    pieces: int = 1
    size: int = 7
    progress: float = 0.0


PAIRS = [
    Case(
        {
            "prediction_loss": loss,
            "prediction_loss_reduction": reduction,
            "representation_loss": representation,
            "teacher_label_loss_weight": 0.5,
            "student_label_loss_weight": 0.25,
        },
        {"regularization_penalty": 2.0},
    )
    for loss in PREDICTION_LOSSES
    for reduction, representation in (
        ("mean", "squared_distance"),
        ("sum", "normalized_distance"),
    )
]
CASES = [
    *PAIRS,
    *(Case(training={"label_loss": loss}, rated=True) for loss in LABEL_LOSSES),
    *(Case(FINAL, progress=progress) for progress in (0.0, 0.5, 1.0)),
    Case({"prediction_loss": "cross_entropy", "temperature": 4.0}),
    Case(class_weights=True),
    Case(class_weights=True, rated=True, pieces=2),
    Case(NORMALIZED | {"student_label_loss_weight": 0.25}),
    Case(NORMALIZED | FINAL, progress=1.0),
    Case(NORMALIZED | SUM, pieces=2),
    Case(SUM | {"prediction_loss": "squared_error"}, pieces=3),
    Case(SUM | {"prediction_loss": "correlation"}, pieces=2),
    Case(pieces=2, size=8),
    Case(pieces=5, size=4),
    Case(training={"mixup": 0.4}),
    Case(training={"mixup": 0.4, "label_loss": "HingeLoss"}, pieces=2),
    Case(SUM, {"student_views": 3}, budget=OFFSET),
    Case({}, {"student_views": 2, "mixup": 0.4}, budget=OFFSET, pieces=2),
    Case(
        SUM | {"prediction_loss": "correlation"},
        {"student_views": 2},
        budget=OFFSET,
        rated=True,
        class_weights=True,
    ),
    Case(regime="ema"),
    Case(regime="ema", pieces=2, training={"mixup": 0.4}),
    Case(regime="ema", training={"frame_dropout": 0.5}),
    Case(regime="serial"),
    Case(regime="serial", training={"frame_dropout": 0.5}),
    Case(regime="serial", weights=(0.5, 0.125, 0.375)),
    Case(SUM, regime="serial", weights=(0.75, 0.25, 0.0), pieces=2),
    Case(regime="serial", training={"student_views": 2}, budget=OFFSET),
    Case(regime="mimic"),
    Case(regime="labels"),
    Case(regime="labels", budget=ALL_FRAMES, class_weights=True),
    Case(regime="labels", training={"mixup": 0.4}, pieces=2),
    Case(regime="labels", training={"frame_dropout": 0.5}, pieces=2),
    Case(
        training={"frame_dropout": 0.5, "student_views": 2, "mixup": 0.4},
        budget=OFFSET,
        pieces=2,
    ),
    Case(
        regime="labels",
        training={"student_views": 3},
        budget=OFFSET,
        rated=True,
        pieces=2,
    ),
]


def make_distiller(case):
    training = dataclasses.replace(
        TRAINING, optimizer="SGD", clip_gradient_norm=0.0, **case.training
    )
    student = make_student(budget=case.budget)
    terms = DistillationSettings(**ALL_TERMS | case.terms)
    weights = CLASS_WEIGHTS if case.class_weights else None
    if case.regime == "labels":
        return Distiller(student, training, class_weights=weights)
    if case.regime == "serial":
        # The second teacher's embedding is wider; the third sees fewer frames.
        frozen = (
            make_teacher(),
            make_network("teacher", seed=4, lstm_cells=5),
            make_network("teacher", seed=7, budget=HALF),
        )
        return Distiller(
            student,
            training,
            None,
            terms,
            weights,
            frozen_teachers=frozen,
            teacher_weights=case.weights,
        )
    if case.regime == "mimic":
        terms = DistillationSettings(
            student_label_loss_weight=0.0,
            representation_loss_weight=3.0,
            prediction_loss_weight=0.0,
            mimic=True,
        )
        frozen = (make_teacher(),)
        return Distiller(student, training, None, terms, frozen_teachers=frozen)
    teacher, emas = make_teacher(), {}
    if case.regime == "ema":
        terms = dataclasses.replace(terms, teacher_ema=True)
        emas = {"teacher": NetworkEma(teacher, make_teacher(seed=9), 3.0)}
    return Distiller(student, training, teacher, terms, weights, emas=emas)


def make_case_batch(case, distiller):
    batch = make_batch(case.size, seed=3)
    rng = np.random.default_rng(4)
    if case.rated:
        rated = rng.random((case.size, NUM_CLASSES)) < 0.6
        batch["label_weights"] = tf.constant(rated)
    if case.budget is OFFSET:
        draws = rng.random((case.size, distiller.training.student_views))
        batch["draws"] = tf.constant(draws, tf.float32)
    return batch


def moved(variables, direction, distance):
    for variable, step in zip(variables, direction, strict=True):
        variable.assign_add(distance * step)


def slope(variables, direction, loss, distance=0.01):
    """Returns the derivative of a loss along a direction, by differences."""
    values = []
    for sign in (1, -1):
        moved(variables, direction, sign * distance)
        values.append(loss())
        moved(variables, direction, -sign * distance)
    return (values[0] - values[1]) / (2 * distance)


def check_gradients(distiller, gradients, all_terms):
    """Compares gradients with differences of each role's own terms.

    The student's terms send no gradient to the teacher.
    """
    count = 0
    if distiller.teacher is not None:
        count = len(distiller.teacher.model.trainable_variables)
    rng = np.random.default_rng(0)
    for role, own_part in (
        ("teacher", slice(count)),
        ("student", slice(count, None)),
    ):
        variables, own = distiller.variables[own_part], gradients[own_part]
        norm = np.sqrt(sum(np.square(g).sum() for g in own))
        draws = [rng.normal(size=g.shape).astype(np.float32) for g in own]
        for direction in ([g / norm for g in own], [d / 9 for d in draws]):
            if not variables:
                continue

            def loss(role=role):
                terms = all_terms()
                if role == "student":
                    return sum(terms.values())
                return terms["teacher_label_loss"] + terms["teacher_penalty"]

            found = sum(
                (g * d).sum() for g, d in zip(own, direction, strict=True)
            )
            expected = slope(variables, direction, loss)
            assert found == pytest.approx(expected, rel=0.01, abs=5e-3), role


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.regime)
def test_terms_predictions_and_gradients_are_those_of_numpy(eager, case):
    distiller = make_distiller(case)
    batch = make_case_batch(case, distiller)
    prepared = distiller.prepare(batch)
    emas = [ema.average.model for ema in distiller.emas.values()]
    ema_weights = [model.get_weights() for model in emas]

    def expect():
        return expected_step(distiller, prepared, case.progress, case.pieces)

    expected, predictions = expect()
    before = [variable.numpy() for variable in distiller.variables]
    plan = MicroBatchPlan(case.pieces)
    micro_batches = plan.divide(prepared, [case.size], is_shared=True)
    found, said = distiller.step(micro_batches, RATE, case.progress)
    assert int(distiller.optimizer.iterations) == 1
    found = {name: float(term) for name, term in found.items()}
    assert found.pop("loss") == pytest.approx(sum(expected.values()), rel=1e-4)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert len(said) == len(predictions)
    for one, other in zip(said, predictions, strict=True):
        assert one.keys() == other.keys()
        for role, values in other.items():
            np.testing.assert_allclose(one[role], values, atol=1e-5)
    gradients = []
    for variable, old in zip(distiller.variables, before, strict=True):
        gradients.append((old - variable.numpy()) / RATE)
        variable.assign(old)
    for model, weights in zip(emas, ema_weights, strict=True):
        model.set_weights(weights)
    assert max(np.abs(gradient).max() for gradient in gradients) > 0.01
    # The scale of a normalised term sends no gradient.
    if not distiller.distillation.normalize_terms:
        check_gradients(distiller, gradients, lambda: expect()[0])


@pytest.mark.parametrize("name", [k.removesuffix("_weight") for k in ALL_TERMS])
def test_a_normalized_term_s_gradient_is_scaled_to_the_label_loss(name):
    """It is the plain term's gradient times label loss over that term."""
    rng = np.random.default_rng(5)
    teacher, student = (
        {
            "embedding": tf.constant(rng.normal(size=(6, 8)), tf.float32),
            "predictions": tf.constant(
                rng.uniform(0.05, 0.9, (6, 4)), tf.float32
            ),
        }
        for _ in range(2)
    )
    label_loss = tf.constant(2.5)
    network = types.SimpleNamespace(embedding_size=8)
    read = [*student.values(), label_loss]
    found, gradients = {}, {}
    for normalize in (False, True):
        settings = DistillationSettings(**ALL_TERMS, normalize_terms=normalize)
        terms = DistillationTerms(settings, network, [network])
        with tf.GradientTape() as tape:
            tape.watch(read)
            found[normalize] = terms([teacher], student, label_loss)[name]
        gradients[normalize] = tape.gradient(found[normalize], read)
    scale = float(found[True] / found[False])
    assert abs(scale - 1) > 0.1
    for plain, normalized in zip(*gradients.values(), strict=True):
        assert (plain is None) == (normalized is None)
        if plain is not None:
            assert np.abs(plain).max() > 1e-3
            np.testing.assert_allclose(
                normalized, scale * plain, rtol=1e-4, atol=1e-6
            )
    # The label loss is a scale alone: no gradient reaches it.
    assert gradients[True][-1] is None


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
def test_the_student_s_losses_never_reach_the_teacher(traced):
    """It becomes, bit for bit, the teacher that was trained alone."""
    tf.config.run_functions_eagerly(not traced)
    joint_teacher = make_teacher(dropout=0.5)
    alone_teacher = make_teacher(dropout=0.5)
    before = joint_teacher.model.get_weights()
    terms = DistillationSettings(**ALL_TERMS)
    joint = Distiller(make_student(), TRAINING, joint_teacher, terms)
    alone = Distiller(alone_teacher, TRAINING)
    for seed in range(4):
        joint.train_step(make_batch(seed=seed), 0.05)
        alone.train_step(make_batch(seed=seed), 0.05)
    tf.config.run_functions_eagerly(False)
    for old, beside, by_itself in zip(
        before,
        joint_teacher.model.get_weights(),
        alone_teacher.model.get_weights(),
        strict=True,
    ):
        assert np.abs(beside - old).max() > 0.01
        np.testing.assert_array_equal(beside, by_itself)


def test_frozen_teachers_do_not_change_with_any_layers(eager):
    """Neither weights nor batch statistics nor states of dropout."""
    sizes = {"moe_prob_gating": True, "dropout": 0.5}
    teachers = tuple(make_teacher(seed=seed, **sizes) for seed in (1, 2))
    before = [[v.numpy() for v in t.model.variables] for t in teachers]
    distiller = Distiller(
        make_student(), TRAINING, None, BOTH_TERMS, frozen_teachers=teachers
    )
    for seed in range(2):
        distiller.train_step(make_batch(seed=seed), 0.1)
    for teacher, old in zip(teachers, before, strict=True):
        for variable, array in zip(teacher.model.variables, old, strict=True):
            np.testing.assert_array_equal(variable, array)


@pytest.mark.parametrize("gating", [False, True])
def test_to_mimic_changes_all_but_the_classifier(eager, gating):
    """With gating the classifier has batch statistics too."""
    student = make_student(moe_prob_gating=gating)
    distiller = Distiller(
        student,
        TRAINING,
        None,
        dataclasses.replace(BOTH_TERMS, mimic=True),
        frozen_teachers=(make_teacher(),),
    )
    before = {v.path: v.numpy() for v in student.model.weights}
    distiller.train_step(make_batch(), 0.1)
    classifier = {v.path for v in student.model.classifier.weights}
    assert len(classifier) == (8 if gating else 3)
    changed = {
        variable.path
        for variable in student.model.weights
        if not np.array_equal(variable, before[variable.path])
    }
    assert not changed & classifier
    for lstms in (student.model.lower.lstms, student.model.upper.lstms):
        assert lstms[0].weights[0].path in changed


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


@pytest.mark.parametrize("scores", ["ties", "certain", "no labels"])
@pytest.mark.parametrize("prediction_loss", PREDICTION_LOSSES)
def test_extreme_predictions_keep_terms_and_weights_finite(
    eager, prediction_loss, scores
):
    terms = DistillationSettings(**ALL_TERMS, prediction_loss=prediction_loss)
    distiller = make_pair_distiller(terms)
    batch = make_batch()
    if scores == "no labels":
        batch["labels"] = tf.zeros_like(batch["labels"])
    if scores == "ties":
        # One video five times.
        batch = {
            key: tf.repeat(value[:1], 5, 0) for key, value in batch.items()
        }
    if scores == "certain":
        for network in distiller.networks.values():
            bias = network.model.classifier.experts_bias
            signs = np.resize([1, -1], bias.shape)
            bias.assign(1e3 * signs)
    for _ in range(2):
        found, _ = distiller.train_step(batch, 0.01)
    assert all(np.isfinite(float(term)) for term in found.values())
    assert all(np.isfinite(v.numpy()).all() for v in distiller.variables)


class CountingDistiller(Distiller):
    """Counts how often its step is traced."""

    num_traces = 0

    def loss_terms(self, *arguments):
        """Counts the call."""
        self.num_traces += 1
        return super().loss_terms(*arguments)


def test_one_graph_serves_the_last_partial_batch_as_eager_mode_does():
    arguments = (TRAINING, make_teacher(), BOTH_TERMS)
    distiller = CountingDistiller(make_student(), *arguments)
    for batch_size in (5, 2, 1):
        batch = make_batch(batch_size)
        expected, _ = distiller.loss_terms(video_inputs(batch), batch["labels"])
        terms, predictions = distiller.train_step(batch, 0.05)
        for role in ("teacher", "student"):
            assert predictions[role].shape == (batch_size, NUM_CLASSES)
        for name, term in expected.items():
            assert float(terms[name]) == pytest.approx(float(term), rel=1e-4)
    eager_calls = 3
    assert distiller.num_traces == eager_calls + 1

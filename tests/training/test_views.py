"""Several random selections of each video in one step, and who draws them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.networks.network import video_inputs
from distill.settings.run import NetworkSettings
from distill.settings.training import DistillationSettings
from distill.training.distiller import Distiller
from distill.training.trainers import build_trainer
from tests.training.tiny_networks import (
    BOTH_TERMS,
    MAX_FRAMES,
    NO_TERMS,
    NUM_CLASSES,
    TRAINING,
    make_batch,
    make_student,
    make_teacher,
    network_settings,
    numpy_inputs,
    numpy_label_loss,
    run_settings,
    write_trained,
)

VIEWS = 3
OFFSET = FrameBudget("uniform_k", num_frames=4, random_offset=True)
RANDOM = FrameBudget("random_k", num_frames=3, fewest_frames=2)


def with_views(views):
    return dataclasses.replace(TRAINING, student_views=views)


def drawn_batch(num_draws, batch_size=5):
    draws = np.random.default_rng(3).random((batch_size, num_draws))
    # Of the first frames can be chosen, of the fourth video there is no more.
    num_frames = np.array([6, 5, 6, 3, 6])[:batch_size]
    return make_batch(batch_size) | {
        "draws": tf.constant(draws, tf.float32),
        "num_frames": tf.constant(num_frames, tf.int32),
    }


def loss_terms(distiller, batch):
    terms, predictions = distiller.loss_terms(
        video_inputs(batch), batch["labels"]
    )
    return {name: float(term) for name, term in terms.items()}, predictions


@pytest.mark.parametrize(
    ("budget", "distillation"),
    [
        (OFFSET, None),
        (RANDOM, BOTH_TERMS),
        (
            OFFSET,
            dataclasses.replace(BOTH_TERMS, prediction_loss_reduction="sum"),
        ),
    ],
    ids=["alone", "mean", "sum"],
)
def test_a_term_is_the_mean_of_those_of_the_views(budget, distillation):
    """Each view is what a run of one view sees with the same draws."""
    student, teacher = make_student(budget=budget), make_teacher()
    # Alone and of one view, a student is given its frames as read: here it is
    # beside a teacher in any case.
    single = Distiller(student, TRAINING, teacher, distillation or NO_TERMS)
    num_draws = budget.num_draws(MAX_FRAMES)
    batch = drawn_batch(VIEWS * num_draws)
    runs = []
    for view in range(VIEWS):
        draws = batch["draws"][:, view * num_draws : (view + 1) * num_draws]
        runs.append(loss_terms(single, batch | {"draws": draws}))
    if distillation is None:
        teacher = None
    distiller = Distiller(student, with_views(VIEWS), teacher, distillation)
    assert distiller.selects_frames
    found, predictions = loss_terms(distiller, batch)
    expected = {
        name: np.mean([terms[name] for terms, _ in runs]) for name in found
    }
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    first = runs[0][1]["student"]
    np.testing.assert_allclose(predictions["student"], first, atol=1e-6)
    others = [said["student"] for _, said in runs[1:]]
    assert all(np.abs(other - first).max() > 1e-5 for other in others)


def test_a_view_s_frames_are_those_of_its_draws():
    budget, student = OFFSET, make_student(budget=OFFSET)
    batch = drawn_batch(2)
    found, predictions = loss_terms(Distiller(student, with_views(2)), batch)
    whole = numpy_inputs(batch, 1)
    losses = []
    for offsets in batch["draws"].numpy().T:
        frames = np.zeros((5, budget.num_frames, 5), np.float32)
        kept = np.minimum(whole["num_frames"], budget.num_frames)
        for video, count in enumerate(whole["num_frames"]):
            places = (np.arange(4) + offsets[video]) * count / 4
            positions = places.astype(int) if count > 4 else np.arange(4)
            rows = whole["frames"][video, positions[: kept[video]]]
            frames[video, : kept[video]] = rows
        said = student.model({"frames": frames, "num_frames": kept})
        said = np.asarray(said["predictions"], np.float64)
        losses.append(numpy_label_loss(batch["labels"].numpy(), said))
        if len(losses) == 1:
            np.testing.assert_allclose(predictions["student"], said, atol=1e-6)
    assert found["student_label_loss"] == pytest.approx(np.mean(losses), 1e-4)


def test_rated_segments_count_in_every_view():
    student, teacher = make_student(budget=OFFSET), make_teacher()
    batch = drawn_batch(2)
    rated = np.random.default_rng(4).random((5, NUM_CLASSES)) < 0.6
    weights = np.array([1, 0.5, 2, 4], np.float32)
    found = []
    for views, draws in ((1, [0]), (1, [1]), (2, [0, 1])):
        distiller = Distiller(
            student, with_views(views), teacher, NO_TERMS, weights
        )
        batch_draws = tf.gather(batch["draws"], draws, axis=1)
        terms, _ = distiller.loss_terms(
            video_inputs(batch | {"draws": batch_draws}),
            batch["labels"],
            tf.constant(rated),
        )
        found.append(float(terms["student_label_loss"]))
    assert found[2] == pytest.approx((found[0] + found[1]) / 2, rel=1e-5)
    assert abs(found[0] - found[1]) > 1e-6


@pytest.mark.parametrize(
    ("budget", "views", "taught", "expected"),
    [
        # Alone with one view: the reader selects, and draws what it needs.
        (OFFSET, 1, False, {"budget": OFFSET}),
        (FrameBudget.every(2), 1, False, {"budget": FrameBudget.every(2)}),
        # Else the graph does, and the reader brings the draws of all views.
        (OFFSET, 3, False, {"num_draws": 3}),
        (RANDOM, 1, True, {"num_draws": MAX_FRAMES + 1}),
        (RANDOM, 2, True, {"num_draws": 2 * (MAX_FRAMES + 1)}),
        (FrameBudget.every(2), 1, True, {"num_draws": 0}),
    ],
)
def test_the_reader_selects_or_draws_what_the_step_needs(
    tmp_path, budget, views, taught, expected
):
    fields = {}
    if taught:
        path = write_trained(tmp_path / "teacher.h5", make_teacher())
        fields = {
            "distillation": DistillationSettings(),
            "teacher_checkpoints": (path,),
        }
    settings = run_settings(
        network_settings(budget), with_views(views), **fields
    )
    assert build_trainer(settings).reader_options == expected


def test_views_mixup_and_average_train_in_one_graph_for_any_batch():
    training = dataclasses.replace(with_views(2), mixup=0.4, ema_half_life=2.0)
    model = "FrameLevelLogisticModel"
    teacher = NetworkSettings(model, registry.resolve_arguments(model, {}))
    trainer = build_trainer(
        run_settings(
            dataclasses.replace(teacher, budget=RANDOM),
            training,
            teacher=teacher,
            distillation=dataclasses.replace(
                BOTH_TERMS, teacher_ema=True, normalize_terms=True
            ),
        )
    )
    num_draws = trainer.reader_options["num_draws"]
    for batch_size in (5, 2, 1):
        batch = drawn_batch(num_draws, batch_size)
        terms, predictions = trainer.batches.train_step(batch, 0.01, 0.5)
        assert all(np.isfinite(float(term)) for term in terms.values())
        for role in ("teacher", "student"):
            assert predictions[role].shape == (batch_size, NUM_CLASSES)

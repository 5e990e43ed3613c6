"""From a run's settings to its networks, weights, groups and reading."""

import dataclasses
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.checkpoints.checkpoint import (
    CheckpointError,
    weight_names,
    write_checkpoint,
)
from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.settings.run import NetworkSettings
from distill.settings.training import DistillationSettings
from distill.training.initial_weights import load_initial_weights
from distill.training.trainers import build_trainer
from tests.numpy_losses import numpy_kl
from tests.training.tiny_networks import (
    BOTH_TERMS,
    MAX_FRAMES,
    NUM_CLASSES,
    SCHEMA,
    TRAINING,
    make_batch,
    make_network,
    make_pair_distiller,
    make_teacher,
    network_settings,
    numpy_inputs,
    numpy_outputs,
    run_settings,
    write_trained,
)

OFFSET = FrameBudget("uniform_k", num_frames=4, random_offset=True)
RANDOM = FrameBudget("random_k", num_frames=3, fewest_frames=2)
MIMIC = DistillationSettings(
    student_label_loss_weight=0.0,
    representation_loss_weight=3.0,
    prediction_loss_weight=0.0,
    mimic=True,
)


def taught_settings(*paths, student=None, training=TRAINING, **fields):
    fields = {"distillation": BOTH_TERMS} | fields
    return run_settings(
        student, training, teacher_checkpoints=tuple(paths), **fields
    )


def assert_same_weights(network, expected, prefix=""):
    wanted = weight_names(expected.model)
    for name, weight in weight_names(network.model).items():
        if name.startswith(prefix):
            np.testing.assert_array_equal(weight, wanted[name], err_msg=name)


def test_teachers_are_the_files_networks_of_the_given_roles(tmp_path):
    """The student of a joint file may teach too; widths may differ."""
    first = make_network("student", seed=1, lstm_cells=5)
    second, other = make_network("student", seed=4), make_teacher(seed=7)
    paths = [write_trained(tmp_path / "first.h5", first)]
    paths.append(str(tmp_path / "joint.h5"))
    settings = run_settings(
        second.settings, teacher=network_settings(), distillation=BOTH_TERMS
    )
    groups = {
        "teacher": weight_names(other.model),
        "student": weight_names(second.model),
    }
    write_checkpoint(paths[1], groups, settings, {"step": 1})
    paths.append(paths[1])
    settings = taught_settings(
        *paths,
        teacher_weights=(0.75, 0.0, 0.25),
        teacher_networks=("student", "student", "teacher"),
    )
    trainer = build_trainer(settings)
    for found, expected in zip(
        trainer.frozen_teachers, (first, second, other), strict=True
    ):
        assert_same_weights(found, expected)
    assert trainer.terms.teacher_weights == (0.75, 0.0, 0.25)
    assert list(trainer.groups) == [
        "student",
        "optimizer",
        "projection",
        "random_state",
    ]
    assert load_initial_weights(settings, trainer) == [
        f"learning from {paths[0]} (weight 0.75)",
        f"learning from {paths[1]} (weight 0)",
        f"learning from {paths[2]} (weight 0.25)",
    ]
    # Without roles a file's teacher teaches, if it has one.
    trainer = build_trainer(taught_settings(*paths[:2]))
    assert_same_weights(trainer.frozen_teachers[0], first)
    assert_same_weights(trainer.frozen_teachers[1], other)


def test_projections_and_their_moments_are_named_by_the_teacher(tmp_path):
    wide = make_network("student", seed=4, lstm_cells=5)
    narrow = make_network("student", seed=1)
    paths = [
        write_trained(tmp_path / f"{index}.h5", network)
        for index, network in enumerate((wide, narrow, wide))
    ]
    trainer = build_trainer(taught_settings(*paths))
    groups = [name for name in trainer.groups if "projection" in name]
    assert groups == ["projection", "projection_2"]
    for group in groups:
        shapes = {k: tuple(v.shape) for k, v in trainer.groups[group].items()}
        assert shapes == {"kernel": (6, 10), "bias": (10,)}
        assert f"{group}_kernel_momentum" in trainer.groups["optimizer"]


def test_a_teacher_of_other_data_is_an_error(tmp_path):
    path = write_trained(tmp_path / "teacher.h5", make_network("student"))
    settings = dataclasses.replace(
        taught_settings(path),
        data=dataclasses.replace(SCHEMA, num_classes=NUM_CLASSES + 1),
    )
    message = "teacher.h5 was trained with num_classes=4, this run has num_cl"
    with pytest.raises(CheckpointError, match=message):
        build_trainer(settings)


def test_a_teacher_whose_frames_are_drawn_is_an_error(tmp_path):
    budget = FrameBudget("random_k", num_frames=3)
    teacher = make_network("student", budget=budget)
    path = write_trained(tmp_path / "teacher.h5", teacher)
    message = "draws its frames at random .random_k=3.: such a network cannot"
    with pytest.raises(ValueError, match=message):
        build_trainer(taught_settings(path))


@pytest.mark.parametrize(
    ("budget", "kept"),
    [
        (OFFSET, [0, 2, 3, 5]),
        (FrameBudget("nested_k", num_frames=4, fewest_frames=1), [0, 1, 3, 5]),
        (FrameBudget.every(2), [0, 2, 4]),
    ],
)
def test_a_frozen_teacher_sees_the_frames_of_evaluation(
    eager, tmp_path, budget, kept
):
    teacher = make_network("student", seed=1, budget=budget)
    path = write_trained(tmp_path / "teacher.h5", teacher)
    trainer = build_trainer(taught_settings(path))
    # Every budget keeps the same number of frames of all videos.
    batch = make_batch() | {"num_frames": tf.fill([5], MAX_FRAMES)}
    frames = numpy_inputs(batch, 1)["frames"][:, kept]
    num_frames = np.full(5, len(kept))
    taught = teacher.model({"frames": frames, "num_frames": num_frames})
    said = numpy_outputs(trainer.student, batch)["predictions"]
    terms, _ = trainer.train_step(batch, 0.0)
    expected = 5 * numpy_kl(taught["predictions"].numpy(), said).mean()
    assert float(terms["prediction_loss"]) == pytest.approx(
        expected, rel=1e-3, abs=1e-6
    )


def test_a_teacher_with_an_ema_teaches_by_its_ema(tmp_path):
    trained, average = make_teacher(seed=3), make_teacher(seed=4)
    path = write_trained(tmp_path / "teacher.h5", trained, average)
    trainer = build_trainer(taught_settings(path))
    assert_same_weights(trainer.frozen_teachers[0], average)


def test_the_teacher_s_ema_starts_as_the_teacher_and_is_not_it_later(eager):
    settings = run_settings(
        training=dataclasses.replace(TRAINING, ema_half_life=3.0),
        teacher=network_settings(),
        distillation=dataclasses.replace(BOTH_TERMS, teacher_ema=True),
    )
    trainer = build_trainer(settings)
    assert load_initial_weights(settings, trainer) == []
    average = trainer.emas["teacher"].average
    assert_same_weights(average, trainer.teacher)
    for step in range(2):
        trainer.train_step(make_batch(seed=step), 0.3)
    gaps = [
        np.abs(one - other).max()
        for one, other in zip(
            average.model.get_weights(),
            trainer.teacher.model.get_weights(),
            strict=True,
        )
    ]
    assert max(gaps) > 1e-3


@pytest.mark.parametrize("gating", [False, True])
def test_to_mimic_starts_with_the_teacher_s_classifier(tmp_path, gating):
    teacher = make_network("student", seed=1, moe_prob_gating=gating)
    path = write_trained(tmp_path / "teacher.h5", teacher)
    student = network_settings(FrameBudget.every(2), moe_prob_gating=gating)
    settings = taught_settings(path, student=student, distillation=MIMIC)
    trainer = build_trainer(settings)
    messages = load_initial_weights(settings, trainer)
    assert messages[-1] == f"starting with the classifier of {path}"
    assert_same_weights(trainer.student, teacher, "classifier/")
    kernel = trainer.student.model.upper.lstms[0].get_weights()[0]
    assert (kernel != teacher.model.upper.lstms[0].get_weights()[0]).any()


def test_a_teacher_of_another_width_cannot_be_mimicked(tmp_path):
    wide = make_network("student", lstm_cells=5)
    path = write_trained(tmp_path / "teacher.h5", wide)
    settings = taught_settings(path, distillation=MIMIC)
    trainer = build_trainer(settings)
    message = "cannot take over the teacher's classifier, .* has the shape"
    with pytest.raises(CheckpointError, match=message):
        load_initial_weights(settings, trainer)


def test_a_student_may_start_with_all_of_its_teacher_s_weights(tmp_path):
    teacher = make_network("student", seed=1)
    path = write_trained(tmp_path / "teacher.h5", teacher)
    distillation = dataclasses.replace(BOTH_TERMS, start_from_teacher=True)
    settings = taught_settings(path, distillation=distillation)
    trainer = build_trainer(settings)
    assert load_initial_weights(settings, trainer) == [
        f"learning from {path}",
        f"starting with the weights of {path}",
    ]
    assert_same_weights(trainer.student, teacher)


def test_attention_starts_anew_where_the_teacher_has_none(tmp_path):
    """The student then sees the teacher's network on plain means."""
    budget = FrameBudget("segment_attention", num_frames=3)
    teacher = make_network("student", seed=1)
    path = write_trained(tmp_path / "teacher.h5", teacher)
    distillation = dataclasses.replace(BOTH_TERMS, start_from_teacher=True)
    settings = taught_settings(
        path,
        student=network_settings(budget),
        distillation=distillation,
    )
    trainer = build_trainer(settings)
    load_initial_weights(settings, trainer)
    model = trainer.student.model
    found, wanted = weight_names(model), weight_names(teacher.model)
    assert set(found) - set(wanted) == set(weight_names(model, "attention/"))
    assert not np.any(found["attention/score/kernel"])
    for name, weight in wanted.items():
        np.testing.assert_array_equal(found[name], weight, err_msg=name)


@pytest.mark.parametrize(
    ("budget", "views", "taught", "expected"),
    [
        # Alone with one view: the reader selects, and draws for itself.
        (OFFSET, 1, False, {"budget": OFFSET}),
        (FrameBudget.every(2), 1, False, {"budget": FrameBudget.every(2)}),
        # Else the graph selects, and the reader brings all views' draws.
        (OFFSET, 3, False, {"num_draws": 3}),
        (RANDOM, 1, True, {"num_draws": MAX_FRAMES + 1}),
        (RANDOM, 2, True, {"num_draws": 2 * (MAX_FRAMES + 1)}),
        (FrameBudget.every(2), 1, True, {"num_draws": 0}),
    ],
)
def test_the_reader_selects_or_draws_what_the_step_needs(
    tmp_path, budget, views, taught, expected
):
    training = dataclasses.replace(TRAINING, student_views=views)
    student = network_settings(budget)
    settings = run_settings(student, training)
    if taught:
        path = write_trained(tmp_path / "teacher.h5", make_teacher())
        settings = taught_settings(path, student=student, training=training)
    assert build_trainer(settings).reader_options == expected


def test_views_mixup_and_ema_train_in_one_graph_for_any_batch():
    training = dataclasses.replace(
        TRAINING, student_views=2, mixup=0.4, ema_half_life=2.0
    )
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
        draws = np.random.default_rng(3).random((batch_size, num_draws))
        batch = make_batch(batch_size)
        batch["draws"] = tf.constant(draws, tf.float32)
        terms, predictions = trainer.train_step(batch, 0.01, 0.5)
        assert all(np.isfinite(float(term)) for term in terms.values())
        for role in ("teacher", "student"):
            assert predictions[role].shape == (batch_size, NUM_CLASSES)


def test_each_view_has_draws_of_its_own(eager):
    """The step of two views is the mean of steps with either's draws."""
    num_draws = RANDOM.num_draws(MAX_FRAMES)
    draws = np.random.default_rng(3).random((5, 2 * num_draws))
    found = []
    pieces = slice(num_draws), slice(num_draws, None), slice(None)
    for views, columns in zip((1, 1, 2), pieces, strict=True):
        training = dataclasses.replace(TRAINING, student_views=views)
        settings = run_settings(
            network_settings(RANDOM),
            training,
            teacher=network_settings(),
            distillation=BOTH_TERMS,
        )
        batch = make_batch(seed=2)
        batch["draws"] = tf.constant(draws[:, columns], tf.float32)
        keras.utils.set_random_seed(1)
        terms, _ = build_trainer(settings).train_step(batch, 0.0)
        found.append({name: float(term) for name, term in terms.items()})
    for name, value in found[2].items():
        mean = (found[0][name] + found[1][name]) / 2
        assert value == pytest.approx(mean, rel=1e-4, abs=1e-6)
    name = "student_label_loss"
    assert abs(found[0][name] - found[1][name]) > 1e-6


@pytest.mark.parametrize("half_life", [0.0, 2.0])
def test_without_a_half_life_there_is_no_ema(half_life):
    settings = run_settings(
        training=dataclasses.replace(TRAINING, ema_half_life=half_life),
        teacher=network_settings(),
        distillation=BOTH_TERMS,
    )
    trainer = build_trainer(settings)
    emas = ["teacher_ema", "student_ema"] if half_life else []
    assert list(trainer.groups) == [
        "teacher",
        "student",
        *emas,
        "optimizer",
        "random_state",
    ]
    assert list(trainer.results) == ["teacher", "student"]
    for role, network in trainer.results.items():
        assert (network is trainer.networks[role]) == (not half_life)


def test_rates_and_places_of_steps_are_not_kept(monkeypatch):
    """TensorFlow would keep each Python number for ever."""
    trainer = make_pair_distiller()
    monkeypatch.setattr(trainer, "_graph", lambda *kind: lambda _: ({}, [], []))
    rate, place = 0.1 / 7, 0.3 / 7
    before = sys.getrefcount(rate), sys.getrefcount(place)
    trainer.step([[]], rate, place)
    assert (sys.getrefcount(rate), sys.getrefcount(place)) == before
    assert float(trainer.optimizer.learning_rate) == np.float32(rate)
    assert float(trainer.progress) == np.float32(place)

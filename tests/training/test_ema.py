"""EMA of the weights: the recursion, and where the EMA is the result."""

import dataclasses

import h5py
import numpy as np
import pytest
import tensorflow as tf

from distill.checkpoints.checkpoint import (
    list_checkpoints,
    load_variables,
    read_progress,
    read_settings,
    weight_names,
    write_checkpoint,
)
from distill.checkpoints.conversion import convert
from distill.networks.loading import load_network
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.training.distiller import Distiller
from distill.training.ema import NetworkEma
from distill.training.initial_weights import load_initial_student
from distill.training.loop import TrainingRun
from distill.training.trainers import build_trainer
from tests.data.record_files import Video, write_records
from tests.training.tiny_networks import (
    BOTH_TERMS,
    NUM_CLASSES,
    TRAINING,
    VIDEO_SCHEMA,
    make_batch,
    make_student,
    make_video_level,
    network_settings,
    run_settings,
)

HALF_LIFE = 3.0
AVERAGED = dataclasses.replace(
    TRAINING, ema_half_life=HALF_LIFE, base_learning_rate=0.1
)


def numpy_decay(step, half_life=HALF_LIFE):
    return min(0.5 ** (1 / half_life), step / (step + 9))


def stored_weights(path, group):
    """Returns a group's arrays by name."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        file[group].visititems(visit)
    return found


def assert_same_weights(network, expected):
    for name, weight in weight_names(network.model).items():
        np.testing.assert_array_equal(weight, expected[name])


def random_weights(model, seed):
    random = np.random.default_rng(seed)
    return [
        random.normal(size=w.shape).astype(np.float32)
        for w in model.get_weights()
    ]


@pytest.mark.parametrize("half_life", [0.5, 2000.0])
def test_the_average_is_that_of_numpy_at_every_step(half_life):
    network, average = make_student(), make_student(seed=9)
    moving = NetworkEma(network, average, half_life)
    expected = [np.zeros(w.shape) for w in network.model.get_weights()]
    for step in range(12):
        weights = random_weights(network.model, step)
        network.model.set_weights(weights)
        moving.update(tf.constant(step, tf.int64))
        decay = numpy_decay(step, half_life)
        expected = [
            decay * old + (1 - decay) * new
            for old, new in zip(expected, weights, strict=True)
        ]
        for found, wanted in zip(
            average.model.get_weights(), expected, strict=True
        ):
            np.testing.assert_allclose(found, wanted, atol=1e-5)
        # The network that trains does not change.
        for found, weight in zip(
            network.model.get_weights(), weights, strict=True
        ):
            np.testing.assert_array_equal(found, weight)


def test_a_step_takes_its_new_weights_into_the_average():
    """Of a network with batch statistics, traced."""
    student, average = (
        make_video_level("student", "MoeModel", moe_prob_gating=True)
        for _ in range(2)
    )
    distiller = Distiller(
        student,
        AVERAGED,
        emas={"student": NetworkEma(student, average, HALF_LIFE)},
    )
    names = weight_names(average.model)
    assert "classifier/prob_gating/norm/moving_mean" in names
    expected = {name: np.zeros(w.shape) for name, w in names.items()}
    random = np.random.default_rng(0)
    for step in range(4):
        before = [weight.numpy() for weight in student.model.weights]
        batch = {
            "features": tf.constant(random.normal(size=(6, 5)), tf.float32),
            "labels": tf.constant(random.random((6, NUM_CLASSES)) < 0.4),
        }
        distiller.train_step(batch, 0.1)
        for weight, old in zip(student.model.weights, before, strict=True):
            assert np.abs(weight - old).max() > 1e-3
        decay = numpy_decay(step)
        for name, weight in weight_names(student.model).items():
            expected[name] = (
                decay * expected[name] + (1 - decay) * weight.numpy()
            )
            np.testing.assert_allclose(
                names[name], expected[name], atol=1e-5, err_msg=name
            )


@pytest.fixture
def joint(eager, tmp_path):
    """Returns a joint run's checkpoint after three steps, and its trainer."""
    settings = run_settings(
        training=AVERAGED,
        teacher=network_settings(),
        distillation=BOTH_TERMS,
    )
    trainer = build_trainer(settings)
    for step in range(3):
        trainer.train_step(make_batch(seed=step), 0.1, 0.0)
    path = tmp_path / "joint.h5"
    write_checkpoint(path, trainer.groups, settings, {"step": 3})
    return path, trainer


def test_the_average_is_the_result_of_a_run(joint, tmp_path):
    """Evaluation, conversion and fine-tuning read it; weights are kept too."""
    path, trainer = joint
    for role in ("teacher", "student"):
        average = stored_weights(path, f"{role}_ema")
        weights = stored_weights(path, role)
        assert average.keys() == weights.keys()
        assert any(
            np.abs(average[name] - weights[name]).max() > 1e-3
            for name in weights
        )
        assert_same_weights(load_network(path, role), average)
    # Now `average` is the student's.
    assert_same_weights(trainer.results["student"], average)
    converted = tmp_path / "student.h5"
    sizes = dict(s.split(": ") for s in convert(path, converted))
    assert sizes["kept student_ema"] == sizes["left out student"]
    with h5py.File(converted) as file:
        assert set(file) == {"student"}
    stored = stored_weights(converted, "student")
    assert stored.keys() == average.keys()
    for name, array in average.items():
        np.testing.assert_array_equal(stored[name], array)
    assert_same_weights(load_network(converted, "student"), average)
    for checkpoint in (path, converted):
        student = make_student(seed=8)
        load_initial_student(checkpoint, student)
        assert_same_weights(student, average)


def test_a_run_goes_on_with_weights_and_average(joint):
    path, trainer = joint
    again = build_trainer(read_settings(path))
    for group, variables in again.groups.items():
        load_variables(path, group, variables)
    batch = make_batch(seed=3)
    for each in (trainer, again):
        each.train_step(batch, 0.1, 0.0)
    for group, variables in trainer.groups.items():
        for name, variable in variables.items():
            np.testing.assert_array_equal(
                again.groups[group][name], variable, err_msg=f"{group}/{name}"
            )


def test_the_best_checkpoint_holds_the_average_that_was_scored(tmp_path):
    random = np.random.default_rng(0)
    videos = [
        Video(
            f"video{index}",
            [index % NUM_CLASSES],
            {"mean_rgb": random.normal(size=5).astype(np.float32)},
        )
        for index in range(10)
    ]
    file = write_records(
        tmp_path / "videos.tfrecord",
        [video.message().SerializeToString() for video in videos],
    )
    settings = RunSettings(
        VIDEO_SCHEMA,
        make_video_level("student", "LogisticModel").settings,
        dataclasses.replace(AVERAGED, train_data_pattern=file, num_epochs=2),
    )
    directory = tmp_path / "run"
    options = RunOptions(str(directory), eval_data_pattern=file, quiet=True)
    TrainingRun(settings, options).train()
    scored = {path: read_progress(path) for path in list_checkpoints(directory)}
    best = directory / "best.h5"
    step = read_progress(best)["step"]
    (at_best,) = (p for p in scored if scored[p]["step"] == step)
    average = stored_weights(at_best, "student_ema")
    weights = stored_weights(at_best, "student")
    assert any(
        np.abs(average[name] - weights[name]).max() > 1e-3 for name in weights
    )
    assert_same_weights(load_network(best, "student"), average)

"""Teachers that are trained already, or averaged, against formulas."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.checkpoints.checkpoint import CheckpointError, weight_names
from distill.models.frame_budget import FrameBudget
from distill.training.distiller import Distiller
from distill.training.trainers import build_trainer
from tests.numpy_losses import numpy_kl, numpy_squared_distance
from tests.training.plain_steps import (
    PLAIN_STEPS,
    RATE,
    assert_weights,
    constant_outputs,
    cross_entropy,
    distance,
    divergence,
    penalty,
    weights_after_a_plain_step,
    weights_of,
)
from tests.training.tiny_networks import (
    BOTH_TERMS,
    MAX_FRAMES,
    NUM_CLASSES,
    SCHEMA,
    TRAINING,
    make_batch,
    make_network,
    make_student,
    make_teacher,
    network_settings,
    numpy_inputs,
    numpy_label_loss,
    numpy_outputs,
    run_settings,
    write_trained,
)


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_a_frozen_teacher_teaches_by_the_formulas(eager, tmp_path):
    path = write_trained(tmp_path / "t.h5", make_network("student", seed=1))
    settings = run_settings(
        training=PLAIN_STEPS,
        distillation=BOTH_TERMS,
        teacher_checkpoints=(path,),
    )
    trainer = build_trainer(settings)
    assert trainer.load_initial() == [f"learning from {path}"]
    assert "teacher" not in trainer.groups
    student, batch = trainer.student, make_batch()
    teacher = make_network("student", seed=1)
    taught = constant_outputs(teacher, batch)
    labels = tf.cast(batch["labels"], tf.float32)

    def loss(said):
        return (
            cross_entropy(labels, said["predictions"])
            + 3 * distance(taught["embedding"], said["embedding"])
            + 5 * divergence(taught["predictions"], said["predictions"])
            + penalty(student.model)
        )

    expected = weights_after_a_plain_step(student, batch, loss)
    before = weights_of(student)
    _, predictions = trainer.batches.train_step(batch, RATE, 0.0)
    assert set(predictions) == {"student"}
    assert_weights(student, expected, atol=1e-5)
    moves = [np.abs(expected[name] - old).max() for name, old in before.items()]
    assert max(moves) > 0.01


def test_frozen_teachers_do_not_change_whatever_they_are_made_of(eager):
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


def test_two_teachers_of_other_widths_teach_their_mean(eager, tmp_path):
    narrow = make_network("student", seed=1)
    wide = make_network("student", seed=4, lstm_cells=5)
    paths = [
        write_trained(tmp_path / f"{index}.h5", network)
        for index, network in enumerate((wide, narrow, wide))
    ]
    trainer = build_trainer(
        run_settings(
            training=PLAIN_STEPS,
            distillation=BOTH_TERMS,
            teacher_checkpoints=tuple(paths),
        )
    )
    projections = [name for name in trainer.groups if "projection" in name]
    assert projections == ["projection", "projection_2"]
    student, batch = trainer.student, make_batch()
    said = numpy_outputs(student, batch)
    taught = [numpy_outputs(n, batch) for n in (wide, narrow, wide)]
    distances = []
    for index, group in enumerate(("projection", None, "projection_2")):
        embedding = said["embedding"]
        if group is not None:
            kernel, bias = (
                trainer.groups[group][n] for n in ("kernel", "bias")
            )
            embedding = embedding @ kernel.numpy() + bias.numpy()
        distances.append(
            numpy_squared_distance(taught[index]["embedding"], embedding).mean()
        )
    mean = sum(outputs["predictions"] for outputs in taught) / 3
    expected = {
        "student_label_loss": numpy_label_loss(
            batch["labels"].numpy(), said["predictions"]
        ),
        "representation_loss": 3 * np.mean(distances),
        "prediction_loss": 5 * numpy_kl(mean, said["predictions"]).mean(),
    }
    kernels = [trainer.groups[g]["kernel"].numpy() for g in projections]
    terms, _ = trainer.batches.train_step(batch, 0.1, 0.0)
    found = {name: float(terms[name]) for name in expected}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    for group, old in zip(projections, kernels, strict=True):
        assert np.abs(trainer.groups[group]["kernel"] - old).max() > 1e-4


def test_a_teacher_of_other_data_is_an_error(tmp_path):
    path = write_trained(tmp_path / "teacher.h5", make_network("student"))
    settings = dataclasses.replace(
        run_settings(distillation=BOTH_TERMS, teacher_checkpoints=(path,)),
        data=dataclasses.replace(SCHEMA, num_classes=NUM_CLASSES + 1),
    )
    message = "teacher.h5 was trained with num_classes=4, this run has num_cl"
    with pytest.raises(CheckpointError, match=message):
        build_trainer(settings)


@pytest.mark.parametrize(
    "budget",
    [
        FrameBudget("uniform_k", num_frames=4, random_offset=True),
        FrameBudget("nested_k", num_frames=4, fewest_frames=1),
        FrameBudget.every(2),
    ],
)
def test_a_frozen_teacher_sees_the_frames_of_evaluation(
    eager, tmp_path, budget
):
    teacher = make_network("student", seed=1, budget=budget)
    path = write_trained(tmp_path / "teacher.h5", teacher)
    trainer = build_trainer(
        run_settings(distillation=BOTH_TERMS, teacher_checkpoints=(path,))
    )
    # Videos of so many frames that all budgets keep these.
    batch = make_batch() | {"num_frames": tf.fill([5], MAX_FRAMES)}
    kept = {
        "uniform_k=4": [0, 2, 3, 5],
        "nested_k=4": [0, 1, 3, 5],
        "every_n=2": [0, 2, 4],
    }
    frames = numpy_inputs(batch, 1)["frames"][:, kept[budget.name]]
    num_frames = np.full(5, frames.shape[1])
    taught = teacher.model({"frames": frames, "num_frames": num_frames})
    said = numpy_outputs(trainer.student, batch)["predictions"]
    terms, _ = trainer.batches.train_step(batch, 0.0, 0.0)
    expected = 5 * numpy_kl(taught["predictions"].numpy(), said).mean()
    assert float(terms["prediction_loss"]) == pytest.approx(
        expected, rel=1e-3, abs=1e-6
    )


def test_a_teacher_that_was_averaged_teaches_its_average(eager, tmp_path):
    trained, average = make_teacher(seed=3), make_teacher(seed=4)
    path = write_trained(tmp_path / "teacher.h5", trained, average)
    trainer = build_trainer(
        run_settings(distillation=BOTH_TERMS, teacher_checkpoints=(path,))
    )
    batch = make_batch()
    expected = prediction_loss(average, trainer.student, batch)
    terms, _ = trainer.batches.train_step(batch, 0.0, 0.0)
    assert float(terms["prediction_loss"]) == pytest.approx(
        expected, rel=1e-3, abs=1e-6
    )


def prediction_loss(teacher, student, batch):
    return 5 * np.mean(
        numpy_kl(
            numpy_outputs(teacher, batch)["predictions"],
            numpy_outputs(student, batch)["predictions"],
        )
    )


def load_into(network, variables):
    for name, weight in weight_names(network.model).items():
        weight.assign(variables[name])
    return network


def test_a_student_learns_from_the_average_of_a_teacher_that_trains(eager):
    """At every step: before the first it is the teacher itself."""
    distillation = dataclasses.replace(BOTH_TERMS, teacher_ema=True)
    trainer = build_trainer(
        run_settings(
            training=dataclasses.replace(TRAINING, ema_half_life=3.0),
            teacher=network_settings(),
            distillation=distillation,
        )
    )
    trainer.load_initial()
    teacher, average = make_teacher(), make_teacher()
    student = make_student()
    others = []
    for step in range(3):
        batch = make_batch(seed=step)
        load_into(teacher, trainer.groups["teacher"])
        load_into(average, trainer.groups["teacher_ema"])
        load_into(student, trainer.groups["student"])
        if step == 0:
            assert_weights(average, weights_of(teacher), atol=0)
        expected = prediction_loss(average, student, batch)
        outputs = numpy_outputs(teacher, batch)["predictions"]
        terms, predictions = trainer.batches.train_step(batch, 0.3, 0.0)
        others.append(expected - prediction_loss(teacher, student, batch))
        assert float(terms["prediction_loss"]) == pytest.approx(
            expected, rel=1e-3, abs=1e-6
        )
        # The teacher learns, and is reported, as it is.
        np.testing.assert_allclose(predictions["teacher"], outputs, atol=1e-6)
        assert float(terms["teacher_label_loss"]) == pytest.approx(
            numpy_label_loss(batch["labels"].numpy(), outputs), rel=1e-4
        )
    # At the third step average and teacher are not the same.
    assert np.abs(others[2]) > 1e-3

"""Students that take over a teacher's classifier or all of its weights."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.checkpoints.checkpoint import CheckpointError
from distill.models.frame_budget import FrameBudget
from distill.settings.training import DistillationSettings
from distill.training.trainers import build_trainer
from tests.training.plain_steps import (
    PLAIN_STEPS,
    RATE,
    assert_weights,
    constant_outputs,
    distance,
    weights_after_a_plain_step,
    weights_of,
)
from tests.training.tiny_networks import (
    BOTH_TERMS,
    make_batch,
    make_network,
    network_settings,
    run_settings,
    write_trained,
)

MIMIC = DistillationSettings(
    student_label_loss_weight=0.0,
    representation_loss_weight=3.0,
    prediction_loss_weight=0.0,
    mimic=True,
)


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("gating", [False, True])
def test_to_mimic_changes_all_but_the_teacher_s_classifier(
    eager, tmp_path, gating
):
    teacher = make_network("student", seed=1, moe_prob_gating=gating)
    path = write_trained(tmp_path / "teacher.h5", teacher)
    trainer = build_trainer(
        run_settings(
            network_settings(FrameBudget.every(2), moe_prob_gating=gating),
            PLAIN_STEPS,
            distillation=MIMIC,
            teacher_checkpoints=(path,),
        )
    )
    trainer.load_initial()
    student, batch = trainer.student, make_batch()
    classifier = {
        name: array
        for name, array in weights_of(teacher).items()
        if name.startswith("classifier/")
    }
    assert len(classifier) == (8 if gating else 3)
    before = weights_of(student)
    for name, array in classifier.items():
        np.testing.assert_array_equal(before[name], array)
    taught = constant_outputs(teacher, batch)["embedding"]
    expected = weights_after_a_plain_step(
        student, batch, lambda said: 3 * distance(taught, said["embedding"])
    )
    terms, _ = trainer.batches.train_step(batch, RATE, 0.0)
    assert float(terms["student_label_loss"]) == 0
    assert "prediction_loss" not in terms
    assert_weights(student, expected | classifier, atol=1e-6)
    changed = {
        name
        for name, old in before.items()
        if not np.array_equal(weights_of(student)[name], old)
    }
    assert {"lower/lstm_0/kernel", "upper/lstm_0/kernel"} <= changed
    assert not changed & set(classifier)


def test_a_teacher_of_another_width_cannot_be_mimicked(tmp_path):
    wide = make_network("student", lstm_cells=5)
    path = write_trained(tmp_path / "teacher.h5", wide)
    settings = run_settings(distillation=MIMIC, teacher_checkpoints=(path,))
    trainer = build_trainer(settings)
    message = "cannot take over the teacher's classifier, .* has the shape"
    with pytest.raises(CheckpointError, match=message):
        trainer.load_initial()


def test_a_student_may_start_with_all_of_its_teacher_s_weights(tmp_path):
    teacher = make_network("student", seed=1)
    path = write_trained(tmp_path / "teacher.h5", teacher)
    distillation = dataclasses.replace(BOTH_TERMS, start_from_teacher=True)
    trainer = build_trainer(
        run_settings(distillation=distillation, teacher_checkpoints=(path,))
    )
    assert trainer.load_initial() == [
        f"learning from {path}",
        f"starting with the weights of {path}",
    ]
    assert_weights(trainer.student, weights_of(teacher), atol=0)

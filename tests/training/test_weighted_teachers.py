"""Teachers of different weights, and an ensemble's file as the teacher."""

import dataclasses
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from distill.checkpoints.checkpoint import (
    read_settings,
    weight_names,
    write_checkpoint,
)
from distill.checkpoints.conversion import convert_to_student
from distill.networks.ensemble_file import Ensemble, Member
from distill.settings.run import RunSettings
from distill.settings.training import DistillationSettings
from distill.training.distillation_terms import DistillationTerms
from distill.training.trainers import build_trainer
from tests.numpy_losses import (
    numpy_kl,
    numpy_relational_distance,
    numpy_squared_distance,
)
from tests.training.tiny_networks import (
    BOTH_TERMS,
    SCHEMA,
    TRAINING,
    make_batch,
    make_network,
    network_settings,
    numpy_outputs,
    run_settings,
    write_trained,
)

ROOT = Path(__file__).parents[2]
ALL_TERMS = DistillationSettings(
    representation_loss_weight=3.0,
    prediction_loss_weight=5.0,
    relational_loss_weight=7.0,
)
SHARES = (0.5, 0.125, 0.375)


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def draw_outputs(*sizes):
    rng = np.random.default_rng(3)
    return [
        {
            "embedding": rng.normal(size=(6, size)),
            "predictions": rng.uniform(0.05, 0.9, (6, 4)),
        }
        for size in sizes
    ]


def found_terms(distillation, outputs, weights):
    *teachers, student = (
        types.SimpleNamespace(embedding_size=o["embedding"].shape[1])
        for o in outputs
    )
    terms = DistillationTerms(
        distillation, student, teachers, teacher_weights=weights
    )
    *taught, said = (
        {key: tf.constant(array, tf.float32) for key, array in o.items()}
        for o in outputs
    )
    return {k: float(v) for k, v in terms(taught, said, 1.0).items()}


def test_terms_are_those_of_the_weighted_means():
    outputs = draw_outputs(8, 8, 8, 8)
    *teachers, student = outputs
    distances, relations = (
        [
            function(teacher["embedding"], student["embedding"]).mean()
            for teacher in teachers
        ]
        for function in (numpy_squared_distance, numpy_relational_distance)
    )
    mean = sum(
        share * teacher["predictions"]
        for share, teacher in zip(SHARES, teachers, strict=True)
    )
    expected = {
        "representation_loss": 3 * np.dot(SHARES, distances),
        "relational_loss": 7 * np.dot(SHARES, relations),
        "prediction_loss": 5 * numpy_kl(mean, student["predictions"]).mean(),
    }
    found = found_terms(ALL_TERMS, outputs, SHARES)
    assert found == pytest.approx(expected, rel=1e-5)
    plain = found_terms(ALL_TERMS, outputs, ())
    for name, value in found.items():
        assert value != pytest.approx(plain[name], rel=1e-3), name


def test_equal_weights_are_the_plain_mean_and_all_of_one_is_that_one():
    outputs = draw_outputs(8, 8, 8)
    plain = found_terms(ALL_TERMS, outputs, ())
    equal = found_terms(ALL_TERMS, outputs, (0.5, 0.5))
    assert equal == pytest.approx(plain, rel=1e-6)
    second = found_terms(ALL_TERMS, outputs, (0.0, 1.0))
    assert second == found_terms(ALL_TERMS, outputs[1:], ())


def test_a_student_learns_the_weighted_mean_of_its_teachers(eager, tmp_path):
    """Each sees its own frames; a student of a joint file may teach too."""
    first = make_network("student", seed=1)
    second = make_network("student", seed=4)
    paths = [write_trained(tmp_path / "first.h5", first)]
    paths.append(str(tmp_path / "joint.h5"))
    other = make_network("teacher", seed=7)
    settings = run_settings(
        second.settings, teacher=network_settings(), distillation=BOTH_TERMS
    )
    groups = {
        "teacher": weight_names(other.model),
        "student": weight_names(second.model),
    }
    write_checkpoint(tmp_path / "joint.h5", groups, settings, {"step": 1})
    trainer = build_trainer(
        run_settings(
            distillation=BOTH_TERMS,
            teacher_checkpoints=tuple(paths),
            teacher_weights=(0.75, 0.25),
            teacher_networks=("student", "student"),
        )
    )
    assert trainer.load_initial() == [
        f"learning from {paths[0]} (weight 0.75)",
        f"learning from {paths[1]} (weight 0.25)",
    ]
    batch = make_batch()
    said = numpy_outputs(trainer.student, batch)
    taught = [numpy_outputs(network, batch) for network in (first, second)]
    mean = 0.75 * taught[0]["predictions"] + 0.25 * taught[1]["predictions"]
    distances = [
        numpy_squared_distance(t["embedding"], said["embedding"]).mean()
        for t in taught
    ]
    terms, _ = trainer.batches.train_step(batch, 0.0, 0.0)
    assert float(terms["prediction_loss"]) == pytest.approx(
        5 * numpy_kl(mean, said["predictions"]).mean(), rel=1e-3
    )
    assert float(terms["representation_loss"]) == pytest.approx(
        3 * np.dot([0.75, 0.25], distances), rel=1e-3
    )


def test_settings_without_weights_read_as_equal_ones():
    settings = run_settings(
        distillation=BOTH_TERMS,
        teacher_checkpoints=("a.h5", "b.h5"),
        teacher_weights=(0.25, 0.75),
        teacher_networks=("student", "teacher"),
    )
    fields = json.loads(settings.to_json())
    assert RunSettings.from_json(json.dumps(fields)) == settings
    del fields["teacher_weights"], fields["teacher_networks"]
    plain = dataclasses.replace(
        settings, teacher_weights=(), teacher_networks=()
    )
    assert RunSettings.from_json(json.dumps(fields)) == plain


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"teacher_weights": (1.0,)},
            "teacher_weights must be empty or one for each of the 2 "
            "teacher_checkpoints, got [1.0].",
        ),
        (
            {"teacher_weights": (0.5, 0.6)},
            "teacher_weights must be 0 or more and sum to 1, got [0.5, 0.6].",
        ),
        (
            {"teacher_weights": (1.5, -0.5)},
            "teacher_weights must be 0 or more and sum to 1, got [1.5, -0.5].",
        ),
        (
            {"teacher_networks": ("student", "both")},
            "Unknown teacher_networks 'both'. Choices: student, teacher.",
        ),
    ],
)
def test_weights_that_do_not_fit_the_teachers_are_errors(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        RunSettings(
            SCHEMA,
            network_settings(),
            TRAINING,
            distillation=BOTH_TERMS,
            teacher_checkpoints=("a.h5", "b.h5"),
            **fields,
        )


# Prints the teachers of a run's flags, as the script for training reads them.
READ_TEACHERS = """
import json, sys
from absl import flags
from distill.cli import train
from distill.cli.experiment import run_settings
from distill.cli.settings_flags import define
define(train.FLAG_GROUPS)
flags.FLAGS(["train", "--train_data_pattern=x", *sys.argv[1:]])
try:
    settings = run_settings(flags.FLAGS.regime)
    names = ("checkpoints", "weights", "networks")
    print(json.dumps([getattr(settings, f"teacher_{n}") for n in names]))
except ValueError as error:
    print(json.dumps(str(error)))
"""


def teachers_of_flags(*flags):
    done = subprocess.run(
        [sys.executable, "-c", READ_TEACHERS, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_an_ensemble_s_file_stands_for_its_members_and_weights(tmp_path):
    members = (
        Member(str(tmp_path / "runs/a.h5"), "student", 3.0),
        Member(str(tmp_path / "b.h5"), "teacher", 1.0),
        Member(str(tmp_path / "c.h5"), "teacher", 0.0),
    )
    path = tmp_path / "ensembles" / "e.json"
    Ensemble(members).write(path)
    found = teachers_of_flags(
        "--regime=serial", f"--teacher_checkpoints={path}"
    )
    checkpoints, weights, networks = found
    assert [str(Path(name).resolve()) for name in checkpoints] == [
        str(tmp_path / "runs/a.h5"),
        str(tmp_path / "b.h5"),
    ]
    assert weights == [0.75, 0.25]
    assert networks == ["student", "teacher"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--regime=serial", "--teacher_checkpoints=a.h5,e.json"],
            "--teacher_checkpoints: the ensemble e.json must be given alone, "
            "got 2 files.",
        ),
        (
            ["--regime=serial", "--teacher_checkpoints=none.json"],
            "There is no ensemble none.json.",
        ),
    ],
)
def test_an_ensemble_beside_others_or_missing_is_an_error(flags, message):
    assert teachers_of_flags(*flags) == message


def test_a_student_of_weighted_teachers_is_converted(tmp_path):
    student = make_network("student")
    settings = run_settings(
        student.settings,
        distillation=BOTH_TERMS,
        teacher_checkpoints=("a.h5", "b.h5"),
        teacher_weights=(0.25, 0.75),
        teacher_networks=("student", "teacher"),
    )
    groups = {"student": weight_names(student.model)}
    path = tmp_path / "run.h5"
    write_checkpoint(path, groups, settings, {"step": 1})
    convert_to_student(path, tmp_path / "student.h5")
    converted = read_settings(tmp_path / "student.h5")
    assert converted.teacher_checkpoints == ()
    assert converted.student == settings.student

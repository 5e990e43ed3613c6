"""Teachers of different weights, and an ensemble's file as the teacher."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from distill.checkpoints.checkpoint import (
    read_settings,
    weight_names,
    write_checkpoint,
)
from distill.checkpoints.conversion import convert
from distill.networks.ensemble_file import Ensemble, Member
from distill.settings.run import RunSettings
from tests.training.tiny_networks import (
    BOTH_TERMS,
    SCHEMA,
    TRAINING,
    make_network,
    network_settings,
    run_settings,
)

ROOT = Path(__file__).parents[2]


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
    convert(path, tmp_path / "student.h5")
    converted = read_settings(tmp_path / "student.h5")
    assert converted.teacher_checkpoints == ()
    assert converted.student == settings.student

"""Settings: stored and read back, compared, found by name."""

import dataclasses
import json

import pytest

from distill.models.frame_budget import FrameBudget
from distill.models.registry import resolve_arguments
from distill.settings.run import (
    AutoencoderSettings,
    NetworkSettings,
    RunSettings,
    changed_settings,
)
from distill.settings.schema import make_schema
from distill.settings.training import DistillationSettings
from tests.settings_of_runs import (
    ALONE,
    RANDOM_BUDGET,
    SERIAL,
    make_settings,
    make_training,
)

SURVIVORS = {
    "joint": {},
    "student alone": ALONE | {"initial_checkpoint": None},
    "trained teachers": SERIAL,
    "a teacher to mimic": {
        "teacher": None,
        "teacher_checkpoints": ("a.h5",),
        "distillation": DistillationSettings(
            mimic=True, start_from_teacher=True
        ),
    },
    "an averaged teacher": {
        "distillation": DistillationSettings(teacher_ema=True)
    },
    "views of random budgets": {
        "teacher": NetworkSettings("MoeModel", {}, RANDOM_BUDGET),
        "student": NetworkSettings("MoeModel", {}, RANDOM_BUDGET),
        "training": make_training(student_views=3),
    },
    "encoders": {
        "student": NetworkSettings("MoeModel", {}, encoder_sizes="8,4"),
        "encoder_checkpoint": "encoder.h5",
    },
    "an autoencoder": ALONE
    | {"student": None, "autoencoder": AutoencoderSettings("8,4")},
    "video level": {"data": make_schema("yt8m_2018", frame_features=False)},
}


@pytest.mark.parametrize("fields", SURVIVORS.values(), ids=SURVIVORS)
def test_settings_survive_json(fields):
    settings = make_settings(**fields)
    text = settings.to_json()
    again = RunSettings.from_json(text)
    assert again == settings
    assert again.to_json() == text
    assert isinstance(again.data.feature_sizes, tuple)
    assert isinstance(again.teacher_checkpoints, tuple)
    if again.student is not None:
        assert isinstance(again.student.budget, FrameBudget)


def test_settings_of_an_earlier_version_keep_what_their_network_did():
    """BiLstmModel had another form before that was a setting."""
    network = NetworkSettings("BiLstmModel", {"hidden_size": 7})
    stored = make_settings(**ALONE | {"student": network}).to_json()
    arguments = RunSettings.from_json(stored).student.arguments
    assert arguments == {"hidden_size": 7, "published_form": False}
    network = NetworkSettings("BiLstmModel", {"published_form": True})
    stored = make_settings(**ALONE | {"student": network}).to_json()
    arguments = RunSettings.from_json(stored).student.arguments
    assert arguments == {"published_form": True}


def test_settings_with_all_arguments_have_the_defaults_of_those_that_lack():
    given = {"lstm_cells": 16, "video_level_classifier_model": "LogisticModel"}
    old = make_settings(student=NetworkSettings("LstmModel", given))
    new = NetworkSettings("LstmModel", resolve_arguments("LstmModel", given))
    new = make_settings(student=new)
    assert "student.arguments.logistic_l2" in changed_settings(old, new)
    whole = old.with_all_arguments()
    assert changed_settings(whole, new.with_all_arguments()) == {}
    assert whole.student.arguments["batch_norm_epsilon"] == 0.001


def test_json_names_every_field_as_the_dataclass_does():
    stored = json.loads(make_settings().to_json())
    assert stored["student"]["budget"]["every_n"] == 5
    assert stored["student"]["arguments"]["input_batch_norm"] is False
    assert stored["training"]["max_steps"] == 11
    assert stored["distillation"]["prediction_loss_reduction"] == "sum"
    assert stored["data"]["feature_names"] == ["audio_embedding"]
    stored = json.loads(make_settings(**SERIAL).to_json())
    assert stored["teacher_checkpoints"] == ["a.h5", "b.h5"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["training"].update(batch_size=0), "batch_size must be 1"),
        (lambda s: s.update(teacher_checkpoints=["a.h5"]), "not both"),
        (
            lambda s: s["student"]["budget"].update(num_frames=3),
            "every_n keeps",
        ),
    ],
    ids=["bad value", "misfit", "bad budget"],
)
def test_json_that_holds_bad_settings_is_an_error(change, message):
    stored = json.loads(make_settings().to_json())
    change(stored)
    with pytest.raises(ValueError, match=message):
        RunSettings.from_json(json.dumps(stored))


def test_equal_settings_have_no_changes():
    assert changed_settings(make_settings(), make_settings()) == {}


def test_changes_are_named_by_their_dotted_names():
    old = make_settings()
    new = make_settings(
        student=NetworkSettings(
            "HierarchicalLstmModel", {"lstm_cells": 16, "dropout": 0.5}
        ),
        training=dataclasses.replace(old.training, max_steps=None),
    )
    assert changed_settings(old, new) == {
        "student.arguments.input_batch_norm": "False -> None",
        "student.arguments.lstm_cells": "8 -> 16",
        "student.budget.every_n": "5 -> 1",
        "training.max_steps": "11 -> None",
    }


def test_a_teacher_that_goes_or_comes_is_a_change():
    joint = make_settings()
    alone = make_settings(**ALONE)
    goes, comes = changed_settings(joint, alone), changed_settings(alone, joint)
    assert goes["teacher.model"] == "MoeModel -> None"
    assert comes["teacher.model"] == "None -> MoeModel"
    serial = changed_settings(alone, make_settings(**SERIAL))
    assert serial["teacher_checkpoints"] == "[] -> ['a.h5', 'b.h5']"


def test_every_field_of_a_budget_is_compared():
    old = make_settings(student=NetworkSettings("MoeModel", {}, RANDOM_BUDGET))
    new = make_settings(student=NetworkSettings("MoeModel", {}))
    assert changed_settings(old, new) == {
        "student.budget.fewest_frames": "2 -> None",
        "student.budget.num_frames": "4 -> None",
        "student.budget.random_offset": "True -> False",
        "student.budget.selection": "uniform_k -> every_n",
    }


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_network_is_found_by_its_name(role):
    settings = make_settings()
    assert settings.network(role) is getattr(settings, role)


@pytest.mark.parametrize(
    ("fields", "role", "message"),
    [
        (ALONE, "teacher", "no teacher here, only the student."),
        (SERIAL, "teacher", "no teacher here, only the student."),
        ({}, "tutor", "no tutor here, only the teacher and student."),
    ],
)
def test_a_network_that_is_not_there_is_an_error(fields, role, message):
    with pytest.raises(ValueError, match=message):
        make_settings(**fields).network(role)


def test_settings_cannot_be_changed():
    settings = make_settings()
    for part in (settings, settings.data, settings.student, settings.training):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, dataclasses.fields(part)[0].name, None)

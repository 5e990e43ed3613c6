"""Settings: stored and read back, compared, checked."""

import dataclasses
import json
import math

import pytest

from distill.data.schema import make_schema
from distill.settings import (
    DistillationSettings,
    NetworkSettings,
    RunSettings,
    TrainingSettings,
    changed_settings,
)


def make_settings(**fields):
    """Returns settings in which no field has its default."""
    joint = {
        "data": make_schema("audioset"),
        "teacher": NetworkSettings("MoeModel", {"moe_l2": 0.5}),
        "student": NetworkSettings(
            "HierarchicalLstmModel",
            {"lstm_cells": 8, "dropout": 0.5, "input_batch_norm": False},
            every_n=5,
        ),
        "training": TrainingSettings(
            train_data_pattern="a*,b*",
            batch_size=7,
            num_epochs=2,
            max_steps=11,
            label_loss="HingeLoss",
            optimizer="SGD",
            base_learning_rate=0.25,
            learning_rate_decay=0.5,
            learning_rate_decay_examples=100,
            clip_gradient_norm=0.0,
            regularization_penalty=0.0,
            seed=3,
            shuffle_buffer_size=9,
        ),
        "distillation": DistillationSettings(
            0.5, 0.25, 2.0, 3.0, "squared_error", "sum"
        ),
        "initial_checkpoint": "runs/student.h5",
    }
    return RunSettings(**joint | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"teacher": None, "distillation": None, "initial_checkpoint": None},
        {"data": make_schema("yt8m_2018", frame_features=False)},
    ],
    ids=["joint", "student alone", "video level"],
)
def test_settings_survive_json(fields):
    settings = make_settings(**fields)
    text = settings.to_json()
    again = RunSettings.from_json(text)
    assert again == settings
    assert again.to_json() == text
    assert isinstance(again.data.feature_sizes, tuple)


def test_json_names_every_field_as_the_dataclass_does():
    stored = json.loads(make_settings().to_json())
    assert stored["student"]["every_n"] == 5
    assert stored["student"]["arguments"]["input_batch_norm"] is False
    assert stored["training"]["max_steps"] == 11
    assert stored["distillation"]["prediction_loss_reduction"] == "sum"
    assert stored["data"]["feature_names"] == ["audio_embedding"]


def test_json_that_holds_bad_settings_is_an_error():
    stored = json.loads(make_settings().to_json())
    stored["training"]["batch_size"] = 0
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
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
        "student.every_n": "5 -> 1",
        "training.max_steps": "11 -> None",
    }


def test_a_teacher_that_goes_or_comes_is_a_change():
    joint, alone = make_settings(), make_settings(teacher=None)
    goes, comes = changed_settings(joint, alone), changed_settings(alone, joint)
    assert goes["teacher.model"] == "MoeModel -> None"
    assert comes["teacher.model"] == "None -> MoeModel"


@pytest.mark.parametrize("which", ["teacher", "student"])
def test_a_network_is_found_by_its_name(which):
    settings = make_settings()
    assert settings.network(which) is getattr(settings, which)


@pytest.mark.parametrize(
    ("fields", "which", "message"),
    [
        ({"teacher": None}, "teacher", "no teacher here, only the student."),
        ({}, "tutor", "no tutor here, only the teacher and student."),
    ],
)
def test_a_network_that_is_not_there_is_an_error(fields, which, message):
    with pytest.raises(ValueError, match=message):
        make_settings(**fields).network(which)


@pytest.mark.parametrize(
    ("field", "value", "least"),
    [
        ("batch_size", 0, 1),
        ("num_epochs", 0, 1),
        ("max_steps", 0, 1),
        ("learning_rate_decay_examples", 0, 1),
        ("shuffle_buffer_size", -1, 1),
        ("base_learning_rate", -0.1, 0),
        ("base_learning_rate", math.nan, 0),
        ("learning_rate_decay", -1.0, 0),
        ("clip_gradient_norm", -1.0, 0),
        ("regularization_penalty", -1.0, 0),
        ("seed", -1, 0),
    ],
)
def test_a_training_setting_that_is_too_small_is_an_error(field, value, least):
    message = rf"^{field} must be {least} or more, got {value}\.$"
    with pytest.raises(ValueError, match=message):
        TrainingSettings(train_data_pattern="x", **{field: value})


@pytest.mark.parametrize(
    "field",
    [
        "teacher_label_loss_weight",
        "student_label_loss_weight",
        "representation_loss_weight",
        "prediction_loss_weight",
    ],
)
def test_a_negative_loss_weight_is_an_error(field):
    message = rf"^{field} must be 0 or more, got -0\.5\.$"
    with pytest.raises(ValueError, match=message):
        DistillationSettings(**{field: -0.5})


@pytest.mark.parametrize(
    ("make", "field", "choices"),
    [
        (
            TrainingSettings,
            "label_loss",
            "CrossEntropyLoss, HingeLoss, SoftmaxLoss",
        ),
        (TrainingSettings, "optimizer", "Adagrad, Adam, AdamW, RMSprop, SGD"),
        (DistillationSettings, "prediction_loss", "kl, squared_error"),
        (DistillationSettings, "prediction_loss_reduction", "mean, sum"),
    ],
)
def test_an_unknown_name_lists_the_choices(make, field, choices):
    needed = {"train_data_pattern": "x"} if make is TrainingSettings else {}
    with pytest.raises(ValueError) as error:
        make(**needed | {field: "nonsense"})
    message = str(error.value)
    assert message.startswith(f"Unknown {field} 'nonsense'.")
    assert message.endswith(f" Choices: {choices}.")


def test_a_step_between_frames_below_one_is_an_error():
    with pytest.raises(ValueError, match=r"every_n must be 1 or more, got 0\."):
        NetworkSettings("MoeModel", {}, every_n=0)


@pytest.mark.parametrize("part", ["data", "student", "training"])
def test_settings_cannot_be_changed(part):
    settings = make_settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, part, None)

"""Settings that no run could have: each is an error that says why."""

import dataclasses
import math
import re

import pytest

from distill.models.frame_budget import FrameBudget
from distill.settings.run import NetworkSettings
from distill.settings.schema import make_schema
from distill.settings.training import DistillationSettings
from tests.settings_of_runs import (
    ALONE,
    RANDOM_BUDGET,
    SERIAL,
    make_settings,
    make_training,
)

SEGMENTS = dataclasses.replace(
    make_schema("yt8m_2018"), segment_labels=True, max_frames=5
)
BOTH_OR_NONE = "Distillation needs a teacher, and a teacher distillation."
AVERAGE_OF_NONE = (
    "teacher_ema needs a teacher that trains in this run and "
    "ema_half_life above 0."
)
DRAWN_FRAMES = (
    "student_views above 1 need frames that are drawn: frame_selection "
    "random_k, random_offset or fewest_frames."
)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"teacher_checkpoints": ("teacher.h5",)},
            "A teacher is trained in this run, or taken from "
            "teacher_checkpoints, not both.",
        ),
        ({"teacher": None}, BOTH_OR_NONE),
        ({"distillation": None}, BOTH_OR_NONE),
        (SERIAL | {"distillation": None}, BOTH_OR_NONE),
        *(
            (
                fields | {"distillation": DistillationSettings(mimic=True)},
                f"To mimic takes one teacher_checkpoint, got {number}.",
            )
            for fields, number in (({}, 0), (SERIAL, 2))
        ),
        (
            {"distillation": DistillationSettings(start_from_teacher=True)},
            "start_from_teacher needs teacher_checkpoints.",
        ),
        *(
            (
                fields
                | {"distillation": DistillationSettings(teacher_ema=True)},
                AVERAGE_OF_NONE,
            )
            for fields in ({"training": make_training()}, SERIAL)
        ),
        *(
            (
                fields | {"training": make_training(student_views=2)},
                DRAWN_FRAMES,
            )
            for fields in ({}, ALONE, SERIAL)
        ),
        (
            {"data": SEGMENTS},
            "mixup is not for segment_labels: a mixed pair is not rated.",
        ),
    ],
)
def test_parts_that_do_not_fit_one_another_are_an_error(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_settings(**fields)


def test_a_rated_segment_may_be_seen_in_several_views_but_not_mixed():
    fields = {
        "data": SEGMENTS,
        "student": NetworkSettings("LstmModel", {}, RANDOM_BUDGET),
    }
    training = make_training(student_views=2)
    assert make_settings(training=training, **fields).data == SEGMENTS


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
        ("warmup_examples", -1, 0),
        ("clip_gradient_norm", -1.0, 0),
        ("regularization_penalty", -1.0, 0),
        ("seed", -1, 0),
        ("student_views", 0, 1),
        ("ema_half_life", -1.0, 0),
        ("mixup", -0.5, 0),
        ("mixup", math.nan, 0),
        ("frame_dropout", -0.5, 0),
    ],
)
def test_a_training_setting_that_is_too_small_is_an_error(field, value, least):
    message = rf"^{field} must be {least} or more, got {value}\.$"
    with pytest.raises(ValueError, match=message):
        make_training(**{field: value})


def test_all_frames_left_out_are_an_error():
    with pytest.raises(ValueError, match="frame_dropout must be below 1, got"):
        make_training(frame_dropout=1.0)


@pytest.mark.parametrize("share", [0, -0.5, 1.5, math.nan])
def test_the_data_are_a_share_above_0_and_at_most_1(share):
    message = f"train_share must be above 0 and at most 1, got {share}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_training(train_share=share)


def test_a_temperature_of_zero_is_an_error():
    message = r"^temperature must be above 0, got 0\.$"
    with pytest.raises(ValueError, match=message):
        DistillationSettings(temperature=0.0)


@pytest.mark.parametrize(
    "field",
    [
        field.name
        for field in dataclasses.fields(DistillationSettings)
        if isinstance(field.default, float)
    ],
)
def test_a_negative_factor_of_a_loss_is_an_error(field):
    message = rf"^{field} must be 0 or more, got -0\.5\.$"
    with pytest.raises(ValueError, match=message):
        DistillationSettings(**{field: -0.5})


CHOICES = {
    "label_loss": "CrossEntropyLoss, CrossEntropyLossPositives, "
    "CrossEntropyLossTop50, CrossEntropyLossWithSparsity, HingeLoss, NewLoss, "
    "PWELoss, SoftmaxLoss",
    "optimizer": "Adadelta, Adagrad, Adam, AdamW, Ftrl, Momentum, RMSprop, SGD",
    "prediction_loss": "correlation, cross_entropy, kl, squared_error",
    "representation_loss": "normalized_distance, squared_distance",
    "prediction_loss_reduction": "mean, sum",
}


@pytest.mark.parametrize(("field", "choices"), CHOICES.items())
def test_an_unknown_name_lists_the_choices(field, choices):
    is_of_training = field in ("label_loss", "optimizer")
    make = make_training if is_of_training else DistillationSettings
    message = rf"^Unknown {field} 'nonsense'\..* Choices: {choices}\.$"
    with pytest.raises(ValueError, match=message):
        make(**{field: "nonsense"})


def test_a_step_between_frames_below_one_is_an_error():
    with pytest.raises(ValueError, match=r"every_n must be 1 or more, got 0\."):
        FrameBudget.every(0)

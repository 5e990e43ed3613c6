"""Training steps of all kinds of models, at the references' sizes.

Dropout is off, so that the plain formulation has the same loss.
"""

import dataclasses

import keras

from distill.reporting.timing import time_interleaved
from tools.benchmark.networks import (
    Case,
    hierarchical_lstms,
    make_batch,
    make_distiller,
)
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row
from tools.benchmark.steps import measure_case, run_step

# The sizes of configs/distill_*_every10.cfg, or else the settings' defaults.
POOLING = (
    Case("NetVLAD", "NetVLADModelLF", {"moe_prob_gating": True}, "joint"),
    Case(
        "NeXtVLAD",
        "NeXtVLADModel",
        {"video_level_classifier_model": "LogisticModel", "dropout": 0.0},
        "joint",
    ),
    Case("Gated DBoF", "GatedDbofModelLF", {}, "joint"),
)
RECURRENT = (
    Case("GRU", "GruModel", {}, "joint"),
    Case("LSTM", "LstmModel", {}, "joint"),
)
_VIDEO_LEVEL = (
    Case("mixture of experts", "MoeModel"),
    Case("fully connected", "FullyConnectedModel"),
)


def measure_pooling(plan: Plan) -> list[Row]:
    """Returns the rows of joint training of pooling models."""
    return _measure(POOLING, "train_pooling", "joint step, {}", plan)


def measure_recurrent(plan: Plan) -> list[Row]:
    """Returns the rows of joint training of models that read every frame."""
    return _measure(RECURRENT, "train_recurrent", "joint step, {}", plan)


def measure_video_level(plan: Plan) -> list[Row]:
    """Returns the rows of training on one vector a video."""
    size = plan.sizes.video_level_batch_size
    name = f"labels alone, {{}}, {size} videos"
    return _measure(_VIDEO_LEVEL, "train_video_level", name, plan)


def _measure(
    cases: tuple[Case, ...], part: str, name: str, plan: Plan
) -> list[Row]:
    return [
        measure_case(
            dataclasses.replace(case, name=name.format(case.name)), part, plan
        )
        for case in cases
    ]


def measure_student(plan: Plan) -> list[Row]:
    """Returns the rows of the student alone, and from a frozen teacher."""
    sizes, part = plan.sizes, "train_student"
    alone = hierarchical_lstms(sizes, "fine-tuning of the student", "")
    serial = hierarchical_lstms(sizes, "serial step, frozen teacher", "frozen")
    rows = [measure_case(case, part, plan) for case in (alone, serial)]
    return [*rows, _compare_serial(alone, serial, plan)]


def _compare_serial(alone: Case, serial: Case, plan: Plan) -> Row:
    """Returns the row of a serial step beside the two things it is made of."""
    sizes = plan.sizes
    distiller = make_distiller(serial, sizes)
    student = make_distiller(alone, sizes)
    videos = make_batch(serial, sizes, sizes.max_frames)
    selected = make_batch(alone, sizes, sizes.max_frames)
    (teacher,) = distiller.frozen_teachers
    inputs = {key: videos[key] for key in ("frames", "num_frames")}
    seconds = time_interleaved(
        {
            "serial": lambda: run_step(distiller, videos),
            "teacher": lambda: teacher.compiled_predict_whole(inputs).numpy(),
            "student": lambda: run_step(student, selected),
        },
        plan.slow_repeats,
    )
    keras.backend.clear_session()
    return Row(
        "train_student",
        "serial step, frozen teacher",
        "s a step",
        seconds["serial"],
        seconds["teacher"] + seconds["student"],
        "forward pass, student's step",
        target="<= 1.1 x baseline",
        details=seconds,
    )

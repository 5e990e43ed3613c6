"""Networks, trainers and batches of the benchmark's sizes."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import select_frames
from distill.models.presets import PAPER
from distill.networks.network import Network, build_network
from distill.settings.run import NetworkSettings
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.training.distiller import Distiller
from tools.benchmark import forward
from tools.benchmark.plan import Sizes
from tools.benchmark.videos import make_schema_of

Batch = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind of training that is timed.

    Attributes:
      name: The work, as the table names it.
      model: The networks' model.
      arguments: Its sizes that differ from the references'.
      teacher: `joint`, `frozen`, or empty for labels alone.
      student_arguments: The student's sizes that differ from the teacher's.
      preset: That of all other sizes; None for that of the benchmark.
    """

    name: str
    model: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    teacher: str = ""
    student_arguments: Mapping[str, Any] = dataclasses.field(
        default_factory=dict
    )
    preset: str | None = None

    @property
    def reads_frames(self) -> bool:
        """Whether the networks read frames, not one vector a video."""
        return registry.get_entry(self.model).level == "frame"


def hierarchical_lstms(sizes: Sizes, name: str, teacher: str) -> Case:
    """Returns the training of the hierarchical LSTMs of the sizes."""
    return Case(
        name,
        forward.MODEL,
        {"lstm_cells": sizes.cells, "num_inputs_to_lstm": sizes.teacher_blocks},
        teacher,
        {"num_inputs_to_lstm": sizes.student_blocks},
        PAPER,
    )


def make_network(
    case: Case, sizes: Sizes, role: str, precision: str = "float32"
) -> Network:
    """Returns the `teacher` or the `student` of a case, with fresh weights."""
    schema = make_schema_of(sizes, case.reads_frames)
    given, budget = dict(case.arguments), FrameBudget.every(1)
    if role == "student":
        given |= case.student_arguments
        if case.reads_frames:
            budget = FrameBudget.every(sizes.every_n)
    preset = case.preset or sizes.preset
    arguments = registry.resolve_arguments(case.model, given, preset)
    settings = NetworkSettings(case.model, arguments, budget)
    return build_network(settings, schema, role, precision)


def make_distiller(
    case: Case, sizes: Sizes, precision: str = "float32"
) -> Distiller:
    """Returns the trainer of a case."""
    student = make_network(case, sizes, "student", precision)
    training = TrainingSettings("none", batch_size=sizes.batch_size)
    if not case.teacher:
        return Distiller(student, training)
    teacher = make_network(case, sizes, "teacher", precision)
    settings = DistillationSettings()
    if case.teacher == "joint":
        return Distiller(student, training, teacher, settings)
    return Distiller(
        student, training, distillation=settings, frozen_teachers=(teacher,)
    )


def make_batch(case: Case, sizes: Sizes, shortest: int) -> Batch:
    """Returns videos of `shortest` frames and more, with labels.

    A student alone gets the frames that it selects, as its reader gives them.
    Video-level models get one vector a video.
    """
    rng = np.random.default_rng(1)
    if case.reads_frames:
        batch = forward.make_batch(sizes, shortest)
    else:
        shape = (sizes.video_level_batch_size, sum(sizes.feature_sizes))
        batch = {"features": rng.standard_normal(shape, np.float32)}
    size = len(next(iter(batch.values())))
    labels = rng.random((size, sizes.num_classes)) < 3 / sizes.num_classes
    videos = {key: tf.constant(value) for key, value in batch.items()}
    if case.reads_frames and not case.teacher:
        budget = FrameBudget.every(sizes.every_n)
        videos = dict(select_frames(videos, budget))
    return videos | {"labels": tf.constant(labels)}


def count_macs(networks: Iterable[Network], batch: Batch) -> int:
    """Returns the MACs of the networks on the real frames of whole videos."""
    if "features" in batch:
        return sum(len(batch["features"]) * n.model.macs(1) for n in networks)
    return sum(
        network.model.macs(max(int(count) // network.budget.every_n, 1))
        for network in networks
        for count in batch["num_frames"].numpy()
    )

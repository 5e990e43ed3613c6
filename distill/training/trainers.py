"""What a run trains, as the loop sees it: a step and its variables."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from distill.checkpoints.checkpoint import (
    EMA_SUFFIX,
    optimizer_names,
    random_state_names,
    read_settings,
    weight_names,
)
from distill.models import registry
from distill.networks.loading import load_network
from distill.networks.network import Network, build_network
from distill.networks.stored_settings import check_same_data
from distill.settings.run import RunSettings
from distill.settings.schema import DataSchema
from distill.training.class_weights import read_class_weights
from distill.training.distiller import Distiller
from distill.training.ema import MovingAverage
from distill.training.encoders import load_encoders
from distill.training.initial_weights import (
    load_from_teacher,
    load_initial_student,
)
from distill.training.parallel_step import BatchTrainer
from distill.training.reconstruction import Reconstructor

Groups = dict[str, dict[str, keras.Variable]]


@dataclasses.dataclass
class Trainer:
    """What the loop repeats and saves.

    Attributes:
      batches: Changes the weights by batches.
      groups: All variables of the run, by group of the checkpoint and name.
      load_initial: Fills weights that do not start afresh; returns lines that
        say so.
      student: The network to validate, if there is one.
      reader_options: How the training data are read for it: the reader's
        `budget` and `num_draws`.
    """

    batches: BatchTrainer
    groups: Groups
    load_initial: Callable[[], list[str]]
    student: Network | None = None
    reader_options: dict[str, Any] = dataclasses.field(default_factory=dict)


def build_trainer(settings: RunSettings) -> Trainer:
    """Builds what the settings say is trained, with fresh weights.

    Raises:
      ValueError: The settings do not fit one another.
    """
    if settings.autoencoder is not None:
        return _autoencoder_trainer(settings)
    return _network_trainer(settings)


def _autoencoder_trainer(settings: RunSettings) -> Trainer:
    width = settings.data.num_features
    autoencoder = registry.build_autoencoder(
        width,
        settings.autoencoder.encoder_sizes,
        settings.training.mixed_precision,
    )
    autoencoder.build(_autoencoder_shape(settings.data))
    reconstructor = Reconstructor(autoencoder, settings.training)
    groups = {
        "autoencoder": weight_names(autoencoder),
        "optimizer": optimizer_names(reconstructor.optimizer),
    }
    return Trainer(reconstructor, groups, list)


def _autoencoder_shape(schema: DataSchema) -> dict[str, tuple]:
    if schema.frame_features:
        return {"frames": (None, schema.max_frames, schema.num_features)}
    return {"features": (None, schema.num_features)}


def _build_network(settings: RunSettings, role: str) -> Network:
    """Builds the `teacher` or the `student`, which an error names."""
    network = settings.network(role)
    try:
        return build_network(
            network, settings.data, role, settings.training.mixed_precision
        )
    except ValueError as error:
        raise ValueError(f"The {role}'s {network.model}: {error}") from error


def _network_trainer(settings: RunSettings) -> Trainer:
    """Builds the teacher, if there is one, the student and their step."""
    networks = {
        role: _build_network(settings, role)
        for role in ("teacher", "student")
        if role == "student" or settings.teacher is not None
    }
    averages = _moving_averages(settings, networks)
    distiller = Distiller(
        networks["student"],
        settings.training,
        networks.get("teacher"),
        settings.distillation,
        _class_weights(settings),
        frozen_teachers=_frozen_teachers(settings),
        teacher_weights=settings.teacher_weights,
        averages=averages,
    )

    def load_initial() -> list[str]:
        messages = _name_teachers(settings)
        messages += _load_from_teacher(settings, networks["student"])
        if settings.encoder_checkpoint:
            messages += load_encoders(
                settings.encoder_checkpoint, networks.values()
            )
        if settings.initial_checkpoint:
            messages += load_initial_student(
                settings.initial_checkpoint,
                networks["student"],
                settings.data.num_classes,
            )
        for average in averages.values():
            average.start()
        return messages

    results = networks | {
        role: average.average for role, average in averages.items()
    }
    return Trainer(
        distiller,
        _network_groups(networks, distiller),
        load_initial,
        results["student"],
        _reader_options(distiller, settings.data),
    )


def _load_from_teacher(settings: RunSettings, student: Network) -> list[str]:
    """Loads what the student takes over of its teacher, if anything."""
    distillation = settings.distillation
    if distillation is None or not (
        distillation.mimic or distillation.start_from_teacher
    ):
        return []
    return load_from_teacher(
        settings.teacher_checkpoints[0],
        student,
        classifier_alone=not distillation.start_from_teacher,
        role=next(iter(settings.teacher_networks), None),
    )


def _name_teachers(settings: RunSettings) -> list[str]:
    """Returns lines that say what teaches, and with which weights."""
    checkpoints = settings.teacher_checkpoints
    weights = [f" (weight {weight:.4g})" for weight in settings.teacher_weights]
    return [
        f"learning from {checkpoint}{weight}"
        for checkpoint, weight in zip(
            checkpoints, weights or [""] * len(checkpoints), strict=True
        )
    ]


def _moving_averages(
    settings: RunSettings, networks: dict[str, Network]
) -> dict[str, MovingAverage]:
    """Returns what follows the weights of the networks that train."""
    half_life = settings.training.ema_half_life
    if not half_life:
        return {}
    return {
        role: MovingAverage(network, _build_network(settings, role), half_life)
        for role, network in networks.items()
    }


def _frozen_teachers(settings: RunSettings) -> tuple[Network, ...]:
    """Loads the teachers that are trained already.

    Raises:
      CheckpointError: A file is no checkpoint.
      ValueError: A teacher reads other data than the run's.
    """
    teachers = []
    for index, checkpoint in enumerate(settings.teacher_checkpoints):
        trained = read_settings(checkpoint)
        check_same_data(checkpoint, trained.data, settings.data)
        teacher = load_network(
            checkpoint,
            settings.teacher_networks[index]
            if settings.teacher_networks
            else trained.teaching,
            settings.training.mixed_precision,
        )
        if teacher.budget.num_draws(settings.data.max_frames):
            raise ValueError(
                f"{checkpoint} sees {teacher.budget.name}, which are drawn: "
                "such a network cannot teach."
            )
        teachers.append(teacher)
    return tuple(teachers)


def _reader_options(distiller: Distiller, schema: DataSchema) -> dict[str, Any]:
    """Returns whether the reader selects the student's frames, or draws."""
    budget = distiller.student.settings.budget
    if not distiller.selects_frames:
        return {"budget": budget}
    num_draws = budget.num_draws(schema.max_frames)
    return {"num_draws": distiller.training.student_views * num_draws}


def _class_weights(settings: RunSettings) -> np.ndarray | None:
    """Returns the classes' weights in the label loss, if a file has them."""
    file = settings.training.class_weights_file
    if file is None:
        return None
    return read_class_weights(file, settings.data.num_classes)


def _network_groups(
    networks: dict[str, Network], distiller: Distiller
) -> Groups:
    """Returns all variables of a run of networks by group and name."""
    groups = {
        role: weight_names(network.model) for role, network in networks.items()
    }
    for role, average in distiller.averages.items():
        groups[role + EMA_SUFFIX] = weight_names(average.average.model)
    groups["optimizer"] = optimizer_names(distiller.optimizer)
    projections = distiller.terms.projections if distiller.terms else []
    for index, projection in enumerate(projections):
        if projection is not None:
            group = f"projection_{index}" if index else "projection"
            groups[group] = weight_names(projection)
    groups["random_state"] = {
        f"{role}/{name}": variable
        for role, network in networks.items()
        for name, variable in random_state_names(network.model).items()
    }
    return groups

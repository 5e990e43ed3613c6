"""Checks that the settings in a checkpoint fit the weights beside them.

A model is built before its weights are loaded. A checkpoint of unknown origin
may ask for any size, so its settings are first compared with the shapes in
the file, in a graph that allocates no weights.
"""

import dataclasses
import functools
import json
import math
import random
from pathlib import Path
from typing import Any

import tensorflow as tf

from distill.checkpoints.checkpoint import (
    CheckpointError,
    open_checkpoint,
    result_group,
    stored_settings,
    weight_names,
)
from distill.checkpoints.file_checks import list_datasets
from distill.models import registry
from distill.models.argument_checks import check_choice
from distill.models.frame_budget import FrameBudget
from distill.networks.network import build_network
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.schema import DataSchema
from distill.settings.training import TrainingSettings
from distill.system.typed_json import is_of_type, read_dataclass

_AUTOENCODER = "autoencoder"
# More than a day at one frame a second.
_MOST_FRAMES = 100_000
# Small models have sizes, such as frames, above their number of weights.
_LEAST_LIMIT = 1_000
# Errors of the libraries at sizes that no model can have.
_BUILDING_ERRORS = (ArithmeticError, TypeError, ValueError, tf.errors.OpError)

Shapes = dict[str, tuple[int, ...]]


def read_validated_settings(path: str | Path, role: str) -> RunSettings:
    """Returns a checkpoint's settings after a check against its weights.

    The role is `teacher`, `student` or `autoencoder`. No memory is allocated
    for the weights.

    Raises:
      CheckpointError: The file is not a checkpoint, or its weights differ in
        name or shape from those of the settings' model.
      ValueError: The settings have no such network.
    """
    with open_checkpoint(path) as file:
        settings = stored_settings(file)
        network: Any = settings.autoencoder
        if role != _AUTOENCODER:
            network = settings.network(role)
        group = result_group(file, role)
        if group not in file:
            raise CheckpointError(
                f"{path} holds no {group}; it holds {sorted(file)}."
            )
        datasets = list_datasets(file[group])
        stored = {name: dataset.shape for name, dataset in datasets.items()}
    try:
        _check_sizes(network, settings.data, stored)
        expected = _expect_shapes(
            json.dumps(dataclasses.asdict(network)), settings.data, role
        )
    except _BUILDING_ERRORS as error:
        reason = str(error).strip().split("\n")[0].removesuffix(".")
        raise CheckpointError(
            f"{path}: no {role} can be built from its settings: {reason}."
        ) from error
    _compare_shapes(f"{path}: {group}", stored, expected)
    return settings


def finetuning_settings(
    student_checkpoint: str | Path,
    training: TrainingSettings,
    *,
    frame_budget: FrameBudget | None = None,
    data: DataSchema | None = None,
) -> RunSettings:
    """Returns the settings to train a student on, on labels alone.

    Args:
      student_checkpoint: File with the student, of which the run starts; its
        network and data layout are taken over.
      training: Batches, epochs, optimiser and label loss.
      frame_budget: The frames that it sees; None for those of before.
      data: The layout of the records where it is another; None for the same.

    Raises:
      CheckpointError: The file is no checkpoint, or its weights do not fit.
      ValueError: The file holds no student.

    Examples:
      >>> training = distill.TrainingSettings("runs/packed/train-*")
      >>> settings = distill.finetuning_settings("runs/student.h5", training)
      >>> settings.student.budget.name
      'every_n=5'
    """
    trained = read_validated_settings(student_checkpoint, "student")
    return trained.to_finetune(
        str(student_checkpoint), training, data=data, budget=frame_budget
    )


def _check_sizes(network: Any, schema: DataSchema, stored: Shapes) -> None:
    num_values = sum(map(math.prod, stored.values()))
    frames = schema.max_frames
    if frames > _MOST_FRAMES:
        raise ValueError(
            f"max_frames must be at most {_MOST_FRAMES}, got {frames}"
        )
    most = max(num_values, frames, _LEAST_LIMIT)
    sizes: dict[str, Any] = {"encoder_sizes": network.encoder_sizes}
    if isinstance(network, NetworkSettings):
        sizes |= network.arguments
    types: dict[str, Any] = {
        name: field.type for name, field in registry.argument_fields().items()
    }
    types["encoder_sizes"] = str
    for name, value in sizes.items():
        check_choice("model argument", name, types)
        if not is_of_type(types[name], value):
            raise ValueError(
                f"{name} must be of the type {types[name].__name__}, got "
                f"{str(value)[:60]!r}"
            )
        if types[name] is int and abs(value) > most:
            raise ValueError(
                f"{name}={value} does not fit {num_values:,} weight values"
            )
        # Layers are counted by a size, or listed as text.
        layers = value if name.endswith("_layers") else str(value).count(",")
        if layers > len(stored):
            raise ValueError(
                f"{name} asks for more layers than there are variables, "
                f"{len(stored)}"
            )


@functools.lru_cache(maxsize=256)
def _expect_shapes(network: str, schema: DataSchema, role: str) -> Shapes:
    # The network's settings are JSON, so that they can be a key of the cache.
    # Keras seeds later layers by Python's random numbers: none may be used up.
    state = random.getstate()
    fields = json.loads(network)
    try:
        with tf.Graph().as_default():
            if role == _AUTOENCODER:
                width = schema.num_features
                sizes = fields["encoder_sizes"]
                model = registry.build_autoencoder(width, sizes)
                model.build({"features": (None, width)})
            else:
                settings = read_dataclass(NetworkSettings, fields)
                model = build_network(settings, schema, role).model
            return {
                name: tuple(weight.shape)
                for name, weight in weight_names(model).items()
            }
    finally:
        random.setstate(state)


def _compare_shapes(place: str, stored: Shapes, expected: Shapes) -> None:
    for name in sorted(stored.keys() | expected.keys()):
        if name not in stored:
            raise CheckpointError(f"{place} lacks {name}, which its model has.")
        if name not in expected:
            raise CheckpointError(f"{place} holds {name}, its model does not.")
        if stored[name] != expected[name]:
            raise CheckpointError(
                f"{place}/{name} has the shape {stored[name]}, its model needs "
                f"{expected[name]}."
            )


def check_same_data(
    checkpoint: str | Path,
    trained: DataSchema,
    expected: DataSchema,
    expected_by: str = "this run",
) -> None:
    """Checks that a trained network reads the data of a run.

    Raises:
      CheckpointError: Features, classes or frames differ; the message calls the
        run, or another network, `expected_by`.
    """
    names = (
        *("frame_features", "feature_sizes", "num_classes", "max_frames"),
        *("quantisation_min", "quantisation_max"),
    )
    for name in names:
        old, new = getattr(trained, name), getattr(expected, name)
        if old != new:
            raise CheckpointError(
                f"{checkpoint} was trained with {name}={old}, {expected_by} "
                f"has {name}={new}."
            )
    if not trained.reads_frames_of(expected):
        raise CheckpointError(
            f"{checkpoint} was trained with frames of floats, {expected_by} "
            "has bytes (float_frames, float_features)."
        )

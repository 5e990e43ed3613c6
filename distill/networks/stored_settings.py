"""Whether the settings in a checkpoint are those of the weights beside them.

A model is built before its weights are loaded. Settings of unknown origin may
ask for any size, so that they are first compared with what the file holds, in
a graph that is thrown away and allocates no weight.
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
from distill.networks.network import build_network
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.schema import DataSchema
from distill.system.typed_json import is_of_type, read_dataclass

_AUTOENCODER = "autoencoder"
# More than a day of one frame a second.
_MOST_FRAMES = 100_000
_LEAST_LIMIT = 1_000
# What libraries raise at sizes that no model can have.
_BUILDING_ERRORS = (ArithmeticError, TypeError, ValueError, tf.errors.OpError)

Shapes = dict[str, tuple[int, ...]]


def read_validated_settings(path: str | Path, role: str) -> RunSettings:
    """Returns a checkpoint's settings if a network of it is as they say.

    Args:
      path: The checkpoint.
      role: `teacher`, `student` or `autoencoder`.

    Raises:
      CheckpointError: The file is no checkpoint, or the weights it holds are
        others in name or shape than the settings' model has. No memory has
        been taken for any of them.
      ValueError: The settings have no such network.
    """
    with open_checkpoint(path) as file:
        settings = stored_settings(file)
        if role == _AUTOENCODER:
            network = settings.autoencoder
        else:
            network = settings.network(role)
        group = result_group(file, role)
        if group not in file:
            raise CheckpointError(
                f"{path} holds no {group}; it holds {sorted(file)}."
            )
        datasets = list_datasets(file[group])
        held = {name: dataset.shape for name, dataset in datasets.items()}
    try:
        _check_sizes(network, settings.data, held)
        wanted = _expect_shapes(
            json.dumps(dataclasses.asdict(network)), settings.data, role
        )
    except _BUILDING_ERRORS as error:
        reason = str(error).strip().split("\n")[0].removesuffix(".")
        raise CheckpointError(
            f"{path}: its settings make no {role}: {reason}."
        ) from error
    _compare(f"{path}: {group}", held, wanted)
    return settings


def _check_sizes(network, schema, held) -> None:
    """Checks sizes alone, each of which stands for as many weights at least.

    What this lets through is built in a moment.
    """
    num_values = sum(map(math.prod, held.values()))
    if schema.max_frames > _MOST_FRAMES:
        raise ValueError(
            f"max_frames must be at most {_MOST_FRAMES}, got "
            f"{schema.max_frames}"
        )
    most = max(num_values, schema.max_frames, _LEAST_LIMIT)
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
                f"{name}={value} is more than {num_values:,} weights can be of"
            )
        # Layers are counted by a size or listed as text.
        layers = value if name.endswith("_layers") else str(value).count(",")
        if layers > len(held):
            raise ValueError(
                f"{name} makes more layers than there are variables, "
                f"{len(held)}"
            )


@functools.lru_cache(maxsize=256)
def _expect_shapes(network: str, schema: DataSchema, role: str) -> Shapes:
    """Returns the shapes of a network's weights, by name.

    Nothing is drawn from Python's random numbers, by which Keras seeds what it
    builds next.

    Args:
      network: Its settings as JSON, which can be remembered.
      schema: The data.
      role: `teacher`, `student` or `autoencoder`.
    """
    state = random.getstate()
    try:
        with tf.Graph().as_default():
            return {
                name: tuple(weight.shape)
                for name, weight in weight_names(
                    _build(json.loads(network), schema, role)
                ).items()
            }
    finally:
        random.setstate(state)


def _build(fields, schema, role):
    if role == _AUTOENCODER:
        width = schema.num_features
        model = registry.build_autoencoder(width, fields["encoder_sizes"])
        model.build({"features": (None, width)})
        return model
    settings = read_dataclass(NetworkSettings, fields)
    return build_network(settings, schema, role).model


def _compare(place, held: Shapes, wanted: Shapes) -> None:
    for name in sorted(held.keys() | wanted.keys()):
        if name not in held:
            raise CheckpointError(f"{place} lacks {name}, which its model has.")
        if name not in wanted:
            raise CheckpointError(f"{place} holds {name}, its model does not.")
        if held[name] != wanted[name]:
            raise CheckpointError(
                f"{place}/{name} has the shape {held[name]}, its model needs "
                f"{wanted[name]}."
            )


def check_same_data(
    checkpoint: str | Path,
    trained: DataSchema,
    wanted: DataSchema,
    wanted_by: str = "this run",
) -> None:
    """Checks that a trained network reads the same data as another.

    Args:
      checkpoint: The network's file.
      trained: What it reads.
      wanted: What it is to read.
      wanted_by: What the error calls the one that wants it.

    Raises:
      CheckpointError: Features, classes or frames differ.
    """
    for name in (
        "frame_features",
        "feature_sizes",
        "num_classes",
        "max_frames",
    ):
        old, new = getattr(trained, name), getattr(wanted, name)
        if old != new:
            raise CheckpointError(
                f"{checkpoint} was trained with {name}={old}, {wanted_by} has "
                f"{name}={new}."
            )

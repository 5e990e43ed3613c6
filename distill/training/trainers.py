"""What a run trains, as the loop sees it: a step and its variables."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from distill.data.schema import DataSchema
from distill.networks import Network, build_network
from distill.settings import RunSettings
from distill.training.checkpoints import (
    optimizer_names,
    random_state_names,
    weight_names,
)
from distill.training.class_weights import read_class_weights
from distill.training.distiller import Distiller
from distill.training.encoders import load_encoders
from distill.training.initial_weights import load_initial_student
from distill.training.reconstruction import Reconstructor
from models import registry

Groups = dict[str, dict[str, keras.Variable]]


@dataclasses.dataclass
class Trainer:
    """What the loop repeats and saves.

    Attributes:
      train_step: From a batch and a learning rate to the loss's terms and the
        predictions by network.
      groups: All variables of the run, by group of the checkpoint and name.
      load_initial: Fills weights that do not start afresh; returns lines that
        say so.
      student: The network to validate, if there is one.
    """

    train_step: Callable[[dict[str, Any], float], tuple[dict, dict]]
    groups: Groups
    load_initial: Callable[[], list[str]]
    student: Network | None = None


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
    return Trainer(reconstructor.train_step, groups, list)


def _autoencoder_shape(schema: DataSchema) -> dict[str, tuple]:
    if schema.frame_features:
        return {"frames": (None, schema.max_frames, schema.num_features)}
    return {"features": (None, schema.num_features)}


def _build_network(settings: RunSettings, which: str) -> Network:
    """Builds the `teacher` or the `student`, which an error names."""
    network = settings.network(which)
    try:
        return build_network(
            network, settings.data, which, settings.training.mixed_precision
        )
    except ValueError as error:
        raise ValueError(f"The {which}'s {network.model}: {error}") from error


def _network_trainer(settings: RunSettings) -> Trainer:
    """Builds the teacher, if there is one, the student and their step."""
    networks = {
        which: _build_network(settings, which)
        for which in ("teacher", "student")
        if which == "student" or settings.teacher is not None
    }
    distiller = Distiller(
        networks["student"],
        settings.training,
        networks.get("teacher"),
        settings.distillation,
        _class_weights(settings),
    )

    def load_initial() -> list[str]:
        messages = []
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
        return messages

    groups = _network_groups(networks, distiller)
    return Trainer(
        distiller.train_step, groups, load_initial, networks["student"]
    )


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
        which: weight_names(network.model)
        for which, network in networks.items()
    }
    groups["optimizer"] = optimizer_names(distiller.optimizer)
    if distiller.projection is not None:
        groups["projection"] = weight_names(distiller.projection)
    groups["random_state"] = {
        f"{which}/{name}": variable
        for which, network in networks.items()
        for name, variable in random_state_names(network.model).items()
    }
    return groups

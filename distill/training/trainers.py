"""From the settings of a run to its trainer."""

from typing import cast

from distill.checkpoints.checkpoint import read_settings
from distill.models import registry
from distill.networks.loading import load_network
from distill.networks.network import Network, build_network, input_shapes
from distill.networks.stored_settings import check_same_data
from distill.settings.run import RunSettings
from distill.training.class_weights import read_class_weights
from distill.training.distiller import Distiller
from distill.training.ema import NetworkEma
from distill.training.reconstruction import Reconstructor
from distill.training.training_step import Trainer


def build_trainer(settings: RunSettings) -> Trainer:
    """Builds the trainer of a run, with fresh weights.

    Raises:
      CheckpointError: A teacher's file is no checkpoint, or reads other data.
      ValueError: The settings do not fit one another.
    """
    if settings.autoencoder is not None:
        return _build_reconstructor(
            settings, settings.autoencoder.encoder_sizes
        )
    networks = {
        role: _build_network(settings, role)
        for role in ("teacher", "student")
        if role == "student" or settings.teacher is not None
    }
    half_life = settings.training.ema_half_life
    emas = {
        role: NetworkEma(network, _build_network(settings, role), half_life)
        for role, network in networks.items()
        if half_life
    }
    class_weights = {
        flag: read_class_weights(file, settings.data.num_classes, flag)
        for flag in ("class_weights_file", "positive_class_weights_file")
        if (file := getattr(settings.training, flag)) is not None
    }
    return Distiller(
        networks["student"],
        settings.training,
        networks.get("teacher"),
        settings.distillation,
        class_weights.get("class_weights_file"),
        class_weights.get("positive_class_weights_file"),
        frozen_teachers=_load_teachers(settings),
        teacher_weights=settings.teacher_weights,
        emas=emas,
    )


def _build_reconstructor(
    settings: RunSettings, encoder_sizes: str
) -> Reconstructor:
    data = settings.data
    autoencoder = registry.build_autoencoder(
        data.num_features,
        encoder_sizes,
        settings.training.mixed_precision,
    )
    shapes = input_shapes(data, data.max_frames, data.num_features)
    shapes.pop("num_frames", None)
    autoencoder.build(shapes)
    return Reconstructor(
        autoencoder, settings.training, data.quantisation_range
    )


def _build_network(settings: RunSettings, role: str) -> Network:
    """Builds the `teacher` or the `student`, which an error names."""
    network = settings.network(role)
    try:
        return build_network(
            network, settings.data, role, settings.training.mixed_precision
        )
    except ValueError as error:
        raise ValueError(f"The {role}'s {network.model}: {error}") from error


def _load_teachers(settings: RunSettings) -> tuple[Network, ...]:
    teachers = []
    checkpoints = settings.teacher_checkpoints
    roles = settings.teacher_networks or [None] * len(checkpoints)
    for checkpoint, role in zip(checkpoints, roles, strict=True):
        trained = read_settings(checkpoint)
        check_same_data(checkpoint, trained.data, settings.data)
        precision = settings.training.mixed_precision
        teacher = cast(
            Network,
            load_network(checkpoint, role or trained.teaching, precision),
        )
        if teacher.budget.num_draws(settings.data.max_frames):
            raise ValueError(
                f"{checkpoint} draws its frames at random "
                f"({teacher.budget.name}): such a network cannot teach."
            )
        teachers.append(teacher)
    return tuple(teachers)

"""Starting networks with the encoder of a trained autoencoder."""

import dataclasses
from collections.abc import Iterable

from distill.checkpoints.checkpoint import (
    CheckpointError,
    load_variables,
    read_settings,
    weight_names,
)
from distill.networks.network import Network
from distill.networks.stored_settings import read_validated_settings
from distill.settings.run import NetworkSettings, RunSettings

_ENCODER = "encoder/"


def with_encoder(
    settings: RunSettings, checkpoint: str | None, freeze_encoder: bool | None
) -> RunSettings:
    """Puts an autoencoder's encoder before the networks of a run.

    Args:
      settings: The run's settings without it.
      checkpoint: A checkpoint of `distill train_autoencoder`; None for no
        encoder, which leaves the settings as they are.
      freeze_encoder: Whether training leaves its weights alone; None for yes.

    Raises:
      CheckpointError: The file is no autoencoder's, or one of other features.
      ValueError: There is no encoder that could be frozen or not.
    """
    if checkpoint is None:
        if freeze_encoder is not None:
            raise ValueError("--freeze_encoder needs --encoder_checkpoint.")
        return settings
    trained = read_settings(checkpoint)
    if trained.autoencoder is None:
        raise CheckpointError(f"{checkpoint} holds no autoencoder.")
    read_validated_settings(checkpoint, "autoencoder")
    if trained.data.feature_sizes != settings.data.feature_sizes:
        raise CheckpointError(
            f"{checkpoint} encodes features of the sizes "
            f"{trained.data.feature_sizes}, the data's are "
            f"{settings.data.feature_sizes}."
        )

    def put_before(network: NetworkSettings | None) -> NetworkSettings | None:
        return network and dataclasses.replace(
            network,
            encoder_sizes=trained.autoencoder.encoder_sizes,
            freeze_encoder=freeze_encoder is not False,
        )

    return dataclasses.replace(
        settings,
        student=put_before(settings.student),
        teacher=put_before(settings.teacher),
        encoder_checkpoint=str(checkpoint),
    )


def keep_encoder(
    settings: RunSettings, checkpoint: str | None, freeze_encoder: bool | None
) -> RunSettings:
    """Freezes the encoder of a student that goes on, or lets it train.

    Args:
      settings: Settings whose student has the encoder it was trained with.
      checkpoint: What the flags say; the student's own encoder stays.
      freeze_encoder: Whether training leaves its weights alone; None for as
        before.

    Raises:
      ValueError: The student has no encoder, but the flags want one.
    """
    if not settings.student.encoder_sizes:
        if checkpoint is not None or freeze_encoder is not None:
            raise ValueError(
                "--encoder_checkpoint, --freeze_encoder: the student of "
                f"{settings.initial_checkpoint} was trained without an encoder."
            )
        return settings
    if freeze_encoder is None:
        return settings
    student = dataclasses.replace(
        settings.student, freeze_encoder=freeze_encoder
    )
    return dataclasses.replace(settings, student=student)


def load_encoders(checkpoint: str, networks: Iterable[Network]) -> list[str]:
    """Loads an autoencoder's encoder into networks that have one.

    Returns:
      Lines that say what was loaded.

    Raises:
      CheckpointError: The file holds no such encoder.
    """
    for network in networks:
        encoder = {
            name: weight
            for name, weight in weight_names(network.model).items()
            if name.startswith(_ENCODER)
        }
        load_variables(checkpoint, "autoencoder", encoder)
    return [f"starting from the encoder of {checkpoint}"]

"""The encoder of a trained autoencoder in the settings of a run."""

import dataclasses

from distill.checkpoints.checkpoint import (
    CheckpointError,
    initial_settings,
    read_settings,
)
from distill.networks.stored_settings import read_validated_settings
from distill.settings.run import RunSettings


def with_encoder(
    settings: RunSettings,
    checkpoint: str | None,
    freeze_encoder: bool | None,
    train_dir: str | None = None,
) -> RunSettings:
    """Puts an autoencoder's encoder before the networks of a run.

    Args:
      settings: The run's settings without it.
      checkpoint: Of an autoencoder; None returns the settings as they are.
      freeze_encoder: Whether training leaves its weights alone; None for yes.
      train_dir: Directory of the run. If it goes on, it needs the
        autoencoder's file no more.

    Raises:
      CheckpointError: The file holds no autoencoder, or its features differ.
      ValueError: `freeze_encoder` is given without a checkpoint.
    """
    if checkpoint is None:
        if freeze_encoder is not None:
            raise ValueError("--freeze_encoder needs --encoder_checkpoint.")
        return settings
    source = initial_settings(checkpoint, train_dir)
    trained = read_settings(source)
    if source != checkpoint:
        sizes = trained.network("student").encoder_sizes
    elif trained.autoencoder is None:
        raise CheckpointError(f"{checkpoint} holds no autoencoder.")
    else:
        read_validated_settings(checkpoint, "autoencoder")
        sizes = trained.autoencoder.encoder_sizes
    old, new = trained.data.feature_sizes, settings.data.feature_sizes
    if old != new:
        raise CheckpointError(
            f"{checkpoint} encodes features of the sizes {old}, the data's "
            f"are {new}."
        )
    encoder = {
        "encoder_sizes": sizes,
        "freeze_encoder": freeze_encoder is not False,
    }
    networks = {
        role: dataclasses.replace(network, **encoder)
        for role in ("student", "teacher")
        if (network := getattr(settings, role)) is not None
    }
    return dataclasses.replace(
        settings, encoder_checkpoint=str(checkpoint), **networks
    )


def keep_encoder(
    settings: RunSettings, checkpoint: str | None, freeze_encoder: bool | None
) -> RunSettings:
    """Freezes or frees the encoder of a student that is fine-tuned.

    Args:
      settings: Settings whose student has the encoder it was trained with.
      checkpoint: The flag `--encoder_checkpoint`; a student with an
        encoder keeps its own.
      freeze_encoder: Whether training leaves its weights alone; None for as
        before.

    Raises:
      ValueError: The student has no encoder, but a flag asks for one.
    """
    if checkpoint is None and freeze_encoder is None:
        return settings
    student = settings.network("student")
    if not student.encoder_sizes:
        raise ValueError(
            "--encoder_checkpoint, --freeze_encoder: the student of "
            f"{settings.initial_checkpoint} was trained without an encoder."
        )
    if freeze_encoder is not None:
        student = dataclasses.replace(student, freeze_encoder=freeze_encoder)
    return dataclasses.replace(settings, student=student)

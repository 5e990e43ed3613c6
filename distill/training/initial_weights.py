"""The weights with which a new run does not start afresh."""

from pathlib import Path

from distill.checkpoints.checkpoint import (
    CheckpointError,
    load_result,
    load_variables,
    read_settings,
    weight_names,
)
from distill.networks.network import Network
from distill.settings.run import RunSettings
from distill.training.distiller import Distiller
from distill.training.training_step import Trainer

_CLASSIFIER = "classifier/"
_ATTENTION = "attention/"


def load_initial_weights(settings: RunSettings, trainer: Trainer) -> list[str]:
    """Loads the weights with which a new run does not start afresh.

    Returns:
      Lines that name the teachers and the loaded weights.

    Raises:
      CheckpointError: A file does not hold the weights that are needed.
    """
    if not isinstance(trainer, Distiller):
        return []
    checkpoints = settings.teacher_checkpoints
    weights = [f" (weight {weight:.4g})" for weight in settings.teacher_weights]
    weights = weights or [""] * len(checkpoints)
    messages = [
        f"learning from {checkpoint}{weight}"
        for checkpoint, weight in zip(checkpoints, weights, strict=True)
    ]
    distillation = trainer.distillation
    if distillation.mimic or distillation.start_from_teacher:
        messages += _load_from_teacher(
            checkpoints[0],
            trainer.student,
            classifier_alone=not distillation.start_from_teacher,
            role=next(iter(settings.teacher_networks), None),
        )
    if settings.encoder_checkpoint:
        for network in trainer.networks.values():
            encoder = weight_names(network.model, "encoder/")
            load_variables(settings.encoder_checkpoint, "autoencoder", encoder)
        messages.append(
            f"starting from the encoder of {settings.encoder_checkpoint}"
        )
    if settings.initial_checkpoint:
        messages += load_initial_student(
            settings.initial_checkpoint, trainer.student
        )
    for ema in trainer.emas.values():
        ema.start()
    return messages


def load_initial_student(checkpoint: str | Path, student: Network) -> list[str]:
    """Loads the student of a checkpoint; returns log lines.

    If the checkpoint has another number of classes, the classifier keeps its
    fresh weights.

    Raises:
      CheckpointError: The file holds no student that fits.
    """
    old_classes = read_settings(checkpoint).data.num_classes
    num_classes = student.schema.num_classes
    weights = weight_names(student.model)
    if old_classes == num_classes:
        load_result(checkpoint, "student", weights)
        return [f"starting from the student of {checkpoint}"]
    for name in weight_names(student.model, _CLASSIFIER):
        del weights[name]
    load_result(checkpoint, "student", weights)
    return [
        f"starting from the encoder of {checkpoint}; its classifier has "
        f"{old_classes} classes, so the one of {num_classes} classes starts "
        "anew"
    ]


def _load_from_teacher(
    checkpoint: str, student: Network, classifier_alone: bool, role: str | None
) -> list[str]:
    """Loads a trained teacher's weights into a student; returns log lines.

    The role is the network of the file that teaches; None: its teacher, if
    any, or else its student.
    """
    prefix, loaded = "", "weights"
    if classifier_alone:
        prefix, loaded = _CLASSIFIER, "classifier"
    role = role or read_settings(checkpoint).teaching
    weights = weight_names(student.model, prefix)
    if student.settings.budget.attends:
        # A teacher has none, or one over other parts: it starts anew.
        for name in weight_names(student.model, _ATTENTION):
            weights.pop(name, None)
    try:
        load_result(checkpoint, role, weights)
    except CheckpointError as error:
        raise CheckpointError(
            f"The student cannot take over the teacher's {loaded}, which "
            f"differ in kind or size: {error}"
        ) from error
    return [f"starting with the {loaded} of {checkpoint}"]

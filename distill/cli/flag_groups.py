"""Groups of flags that several verbs share."""

import dataclasses

from distill.cli.settings_flags import field_specs, specs
from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.models.options import option
from distill.settings.run_options import (
    DeviceOptions,
    ReadingOptions,
    RunOptions,
    SharingOptions,
)
from distill.settings.schema import FRAME_LEVEL, DataSchema
from distill.settings.training import DistillationSettings, TrainingSettings

STUDENT_PREFIX = "student_"
REGIMES = ("parallel", "serial", "mimic", "labels", "teacher")


@dataclasses.dataclass(frozen=True)
class DatasetFlags:
    """Preset of the records' layout."""

    dataset: str | None = option(
        None,
        "Preset of the records' layout: "
        f"{', '.join(FRAME_LEVEL)}. Default: yt8m_2018.",
    )


@dataclasses.dataclass(frozen=True)
class NetworkFlags:
    """Choice of the networks that train or are built."""

    model: str | None = option(
        None,
        f"Model of teacher and student: {', '.join(registry.MODELS)}. "
        "Default: the first.",
    )
    student_model: str | None = option(
        None, "Model of the student. Default: --model."
    )
    encoder_checkpoint: str | None = option(
        None,
        "Checkpoint of `distill train_autoencoder` whose encoder stands "
        "before teacher and student.",
    )
    freeze_encoder: bool | None = option(
        None,
        "Do not train the encoder's weights. Default: true; in fine-tuning as "
        "before.",
    )


@dataclasses.dataclass(frozen=True)
class RegimeFlags:
    """The student's teacher."""

    regime: str = option(
        "parallel",
        "parallel: teacher and student in the same steps; serial: the student "
        "from --teacher_checkpoints; mimic: the student's embedding alone from "
        "one of them, under its classifier, to be fine-tuned; labels: the "
        "student on labels alone; teacher: the teacher on labels alone.",
        choices=REGIMES,
    )
    teacher_checkpoints: tuple[str, ...] | None = option(
        None,
        "Trained networks, or an ensemble's file, comma-separated; the student "
        "learns from their mean (--regime=serial or mimic).",
    )


@dataclasses.dataclass(frozen=True)
class FileFlags:
    """Files that several verbs read or write."""

    checkpoint: str | None = option(
        None, "Checkpoint to read. Default: the newest of --train_dir."
    )
    student_checkpoint: str | None = option(
        None,
        "The student's own file: conversion writes it, fine-tuning starts "
        "from it.",
    )
    class_names_file: str | None = option(
        None,
        "CSV file of the classes, for exports: a header, then INDEX,...,NAME. "
        "Default: their numbers.",
    )


@dataclasses.dataclass(frozen=True)
class ScoringFlags:
    """The network that is scored, or predicts."""

    role: str = option(
        "student",
        "Network of the checkpoint: student, teacher or both.",
        choices=("student", "teacher", "both"),
    )
    cascade_file: str | None = option(
        None,
        "File of `distill calibrate_cascade`: the student sees more frames "
        "only where it is unsure.",
    )
    artifact: str | None = option(
        None, "Artifact of `distill export`, in place of a checkpoint."
    )


STUDENT_FILE = specs(FileFlags, "student_checkpoint")
CLASS_NAMES = specs(FileFlags, "class_names_file")
GPU = specs(DeviceOptions, "gpu")
DEVICES = specs(DeviceOptions)
LAYOUT = [
    *specs(DatasetFlags),
    *specs(DataSchema, unset="as --dataset, or the checkpoint, says"),
]
_UNSET_BUDGET = "every frame, or as the student was trained"
BUDGET = specs(
    FrameBudget, "selection", "every_n", "num_frames", unset=_UNSET_BUDGET
)
TRAINING_BUDGET = specs(FrameBudget, unset=_UNSET_BUDGET)
READING = [
    *specs(ReadingOptions),
    *specs(TrainingSettings, "batch_size", "mixed_precision"),
]
NETWORKS = [
    *specs(NetworkFlags),
    *field_specs(registry.argument_fields(), "", "the model's"),
    *field_specs(registry.argument_fields(), STUDENT_PREFIX, "the teacher's"),
]
TRAINING = [
    *specs(TrainingSettings),
    *specs(RunOptions, skip=("checkpoint_every_epoch", "quiet")),
    *CLASS_NAMES,
]
DISTILLATION = [
    *specs(RegimeFlags),
    *specs(DistillationSettings, skip=("mimic",)),
]
CHECKPOINT = [*specs(FileFlags, "checkpoint"), *specs(RunOptions, "train_dir")]
EVALUATION_FILES = specs(RunOptions, "eval_data_pattern")
SCORING = [*specs(ScoringFlags), *specs(RunOptions, "top_k")]
SHARING = specs(SharingOptions)

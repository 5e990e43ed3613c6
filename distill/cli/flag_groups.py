"""Groups of flags that several verbs share."""

from distill.cli.settings_flags import Flag, field_specs, specs
from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.settings.run_options import STRATEGIES, RunOptions
from distill.settings.schema import FRAME_LEVEL, DataSchema
from distill.settings.training import DistillationSettings, TrainingSettings

STUDENT_PREFIX = "student_"
REGIMES = ("parallel", "serial", "mimic", "labels", "teacher")


STUDENT_FILE = [
    Flag(
        "student_checkpoint",
        "The student's own file: conversion writes it, fine-tuning starts "
        "from it.",
    )
]
CLASS_NAMES = [
    Flag(
        "class_names_file",
        "CSV file of the classes, for exports: a header, then INDEX,...,NAME. "
        "Default: their numbers.",
    )
]
CASCADE_FILE = [
    Flag(
        "cascade_file",
        "File of `distill calibrate_cascade`: the student sees more frames "
        "only where it is unsure.",
    )
]
GPU = [
    Flag(
        "gpu",
        "GPU to compute on; -1: the CPU. Default: every device found.",
        int,
    )
]
DEVICES = [
    *GPU,
    Flag(
        "strategy",
        "single: one device; mirrored: all GPUs of this machine; multi_worker: "
        "those of all machines that TF_CONFIG names; auto: multi_worker where "
        "it names several, else mirrored.",
        default="auto",
        choices=STRATEGIES,
    ),
    Flag(
        "deterministic",
        "Give the same bits again on the same machine, at the cost of speed.",
        bool,
        False,
    ),
]
LAYOUT = [
    Flag(
        "dataset",
        "Preset of the records' layout: "
        f"{', '.join(FRAME_LEVEL)}. Default: yt8m_2018.",
    ),
    *specs(DataSchema, unset="as --dataset, or the checkpoint, says"),
]
_UNSET_BUDGET = "every frame, or as the student was trained"
BUDGET = specs(
    FrameBudget, "selection", "every_n", "num_frames", unset=_UNSET_BUDGET
)
TRAINING_BUDGET = specs(FrameBudget, unset=_UNSET_BUDGET)
READING = [
    *specs(RunOptions, "on_bad_record"),
    *specs(TrainingSettings, "batch_size", "mixed_precision"),
]
NETWORKS = [
    Flag(
        "model",
        f"Model of teacher and student: {', '.join(registry.MODELS)}. "
        "Default: the first.",
    ),
    Flag("student_model", "Model of the student. Default: --model."),
    Flag(
        "encoder_checkpoint",
        "Checkpoint of `distill train_autoencoder` whose encoder stands "
        "before teacher and student.",
    ),
    Flag(
        "freeze_encoder",
        "Do not train the encoder's weights. Default: true; in fine-tuning as "
        "before.",
        bool,
    ),
    *field_specs(registry.argument_fields(), "the model's"),
    *field_specs(registry.argument_fields(), "the teacher's", STUDENT_PREFIX),
]
TRAINING = [
    *specs(TrainingSettings),
    *specs(RunOptions, skip=("checkpoint_every_epoch", "quiet")),
    *CLASS_NAMES,
]
DISTILLATION = [
    Flag(
        "regime",
        "parallel: teacher and student in the same steps; serial: the student "
        "from --teacher_checkpoints; mimic: the student's embedding alone from "
        "one of them, under its classifier, to be fine-tuned; labels: the "
        "student on labels alone; teacher: the teacher on labels alone.",
        default="parallel",
        choices=REGIMES,
    ),
    Flag(
        "teacher_checkpoints",
        "Trained networks, or an ensemble's file, comma-separated; the student "
        "learns from their mean (--regime=serial or mimic).",
        tuple[str, ...],
    ),
    *specs(DistillationSettings, skip=("mimic",)),
]
CHECKPOINT = [
    Flag(
        "checkpoint", "Checkpoint to read. Default: the newest of --train_dir."
    ),
    *specs(RunOptions, "train_dir"),
]
EVALUATION_FILES = specs(RunOptions, "eval_data_pattern")
SCORING = [
    Flag(
        "role",
        "Network of the checkpoint: student, teacher or both.",
        default="student",
        choices=("student", "teacher", "both"),
    ),
    *CASCADE_FILE,
    Flag("artifact", "Artifact of `distill export`, in place of a checkpoint."),
    *specs(RunOptions, "top_k"),
]
SHARING = specs(RunOptions, "shard_by")

"""All flags, defined in functions: importing this registers none."""

import dataclasses
from typing import Any

from absl import flags

from distill.cli.distribution_flags import define_distribution_flags
from distill.cli.run_flags import define_run_flags
from distill.datasets.synthetic_settings import SyntheticSettings
from distill.models import registry
from distill.models.frame_budget import SELECTIONS
from distill.settings.training import DistillationSettings, TrainingSettings

STUDENT_PREFIX = "student_"

_TRAINING_HELP = {
    "train_share": "Share of every training file's records that is used.",
    "batch_size": "Videos a step.",
    "num_epochs": "Passes over the training data.",
    "label_loss": "Loss against labels: CrossEntropyLoss, HingeLoss or "
    "SoftmaxLoss.",
    "optimizer": "Adam, AdamW, Adagrad, RMSprop or SGD.",
    "base_learning_rate": "Learning rate of the first step.",
    "learning_rate_decay": "Factor on the learning rate every "
    "--learning_rate_decay_examples.",
    "learning_rate_decay_examples": "Examples between two decays.",
    "clip_gradient_norm": "Largest norm of each variable's gradient; 0: no "
    "clipping.",
    "regularization_penalty": "Factor of the models' weight penalties.",
    "seed": "Seed of weights, dropout and the order of the data.",
    "shuffle_buffer_size": "Records among which the next one is drawn.",
    "ema_half_life": "Steps after which a weight counts half in the moving "
    "average that is a run's result; 0: the weights themselves are.",
    "mixup": "Parameter of the beta distribution by which each video is mixed "
    "with another; 0: none is mixed.",
    "student_views": "Random selections of each video a step for the student.",
    "accumulate_steps": "Parts of a batch taken one after another, for less "
    "memory; their gradients are summed.",
    "mixed_precision": "What networks compute in: float32, or bfloat16 beside "
    "float32 weights, classifiers, losses and metrics.",
}

_DISTILLATION_HELP = {
    "teacher_label_loss_weight": "Weight of the teacher's label loss.",
    "student_label_loss_weight": "Weight of the student's label loss beside a "
    "teacher.",
    "representation_loss_weight": "Weight of the distance between the "
    "embeddings.",
    "prediction_loss_weight": "Weight of the divergence between the "
    "predictions.",
    "prediction_loss": "Divergence of the predictions: kl (of predictions "
    "normalised to sum 1), squared_error, cross_entropy (against the teacher's "
    "probabilities) or correlation (of each class over the batch).",
    "prediction_loss_reduction": "The divergence's mean or sum over the batch.",
    "relational_loss_weight": "Weight of the difference of the distances "
    "between a batch's embeddings.",
    "representation_loss": "Distance of the embeddings: squared_distance or "
    "normalized_distance (of embeddings scaled to norm 1).",
    "temperature": "By which --prediction_loss=cross_entropy divides logits.",
    "normalize_terms": "Scale every term against the teacher, at each step, to "
    "the size of the student's label loss: weights are shares of it.",
    "final_distillation_factor": "Factor of the terms against the teacher in "
    "the last epoch; linear from 1 by epochs.",
    "final_label_factor": "The same of the student's label loss.",
    "start_from_teacher": "Start with the weights of the first of "
    "--teacher_checkpoints, a network of the same kind and sizes.",
    "teacher_ema": "Learn from the moving average of the teacher that "
    "trains beside the student (--ema_half_life).",
}

_SYNTHETIC_HELP = {
    "num_shards": "Files of each split.",
    "seed": "Seed of the world and of all its videos.",
    "num_classes": "Classes; their frequencies fall as 1 / rank.",
    "max_frames": "Frames of the longest video.",
    "min_frames": "Frames of the shortest video.",
    "mean_labels": "Mean number of labels a video, 1 or more.",
    "scene_frames": "Mean length of the scenes in which a label shows.",
    "scene_strength": "A label's signal in its scenes, in units of the noise.",
    "missing_label_rate": "Share of the labels that are left out.",
    "wrong_label_rate": "Share of the videos that carry a wrong label.",
}


def define_device_flags() -> None:
    """Defines --gpu."""
    flags.DEFINE_integer(
        "gpu", None, "GPU to compute on; -1: the CPU. Default: what there is."
    )


def define_experiment_flags() -> None:
    """Defines what an experiment's flagfile may hold; stages share it."""
    define_device_flags()
    _define_data_flags()
    _define_network_flags()
    _define_defaults(TrainingSettings, _TRAINING_HELP)
    flags.DEFINE_integer(
        "max_steps", None, "Steps after which training ends early."
    )
    flags.DEFINE_string(
        "class_weights_file",
        None,
        "File of one positive number a line and class: its weight in the loss "
        "against labels.",
    )
    _define_defaults(DistillationSettings, _DISTILLATION_HELP)
    define_run_flags()
    define_distribution_flags()


def _define_data_flags() -> None:
    flags.DEFINE_string(
        "train_data_pattern", None, "Globs of training files, comma-separated."
    )
    flags.DEFINE_string(
        "eval_data_pattern", None, "Globs of the files to score on."
    )
    define_layout_flags()
    flags.DEFINE_enum(
        "on_bad_record",
        "fail",
        ["fail", "skip"],
        "Stop at the first bad record, or leave bad ones out and report them.",
    )


def define_layout_flags() -> None:
    """Defines what describes the records: a preset and what overrides it."""
    flags.DEFINE_string(
        "dataset",
        None,
        "Preset of the records' layout: yt8m_2018 (where none is known), "
        "yt8m_2017 or audioset.",
    )
    flags.DEFINE_boolean(
        "frame_features",
        None,
        "Frame-level SequenceExamples (the default) or video-level Examples.",
    )
    flags.DEFINE_list("feature_names", None, "Features, comma-separated.")
    flags.DEFINE_list("feature_sizes", None, "Width of each feature.")
    flags.DEFINE_string("id_key", None, "Key of the video's id.")
    flags.DEFINE_string("labels_key", None, "Key of the class indexes.")
    flags.DEFINE_integer("num_classes", None, "Number of classes.")
    flags.DEFINE_integer("max_frames", None, "Frames kept of a video.")
    flags.DEFINE_boolean(
        "segment_labels",
        None,
        "Train and score on the rated segments of five frames (YouTube-8M "
        "Segments, 2019); predict all segments.",
    )


def define_budget_flags() -> None:
    """Defines which frames a network sees."""
    flags.DEFINE_string(
        "frame_selection",
        None,
        f"The student's frames: {', '.join(SELECTIONS)}. Default: uniform_k "
        "with --frame_budget, else every_n.",
    )
    flags.DEFINE_integer(
        "every_n", None, "The student sees every n-th frame; 1: all."
    )
    flags.DEFINE_integer(
        "frame_budget", None, "Frames k that the student sees of a video."
    )


def _define_network_flags() -> None:
    flags.DEFINE_string(
        "model",
        None,
        "Model of teacher and student: "
        f"{', '.join(registry.MODELS)}. Default: the first.",
    )
    flags.DEFINE_string(
        "student_model", None, "Model of the student. Default: --model."
    )
    define_budget_flags()
    flags.DEFINE_boolean(
        "random_offset",
        None,
        "Shift the frames of every_n or uniform_k by a random offset in "
        "training.",
    )
    flags.DEFINE_integer(
        "fewest_frames",
        None,
        "Draw the number of frames of every video from here to --frame_budget "
        "in training, so that one student serves every budget.",
    )
    flags.DEFINE_list(
        "teacher_checkpoints",
        None,
        "Trained networks that teach by the mean of what they say, or an "
        "ensemble's file (--regime=serial or mimic), comma-separated.",
    )
    flags.DEFINE_string(
        "encoder_checkpoint",
        None,
        "Checkpoint of distill train_autoencoder whose encoder stands before "
        "teacher and student.",
    )
    flags.DEFINE_boolean(
        "freeze_encoder",
        None,
        "Leave its weights alone in training. Default: true; in fine-tuning "
        "as before.",
    )
    define = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_boolean,
        str: flags.DEFINE_string,
    }
    for name, field in registry.argument_fields().items():
        kind, text = field.type, field.metadata["help"]
        define[kind](name, None, f"{text} Default: the model's.")
        define[kind](
            STUDENT_PREFIX + name, None, f"The same for the student: --{name}."
        )


def define_synthetic_flags() -> None:
    """Defines the flags of the synthetic data generator."""
    flags.DEFINE_string("output_dir", None, "Where the files go.")
    flags.DEFINE_integer("num_train_videos", 2000, "Videos to train on.")
    flags.DEFINE_integer("num_validate_videos", 500, "Videos to score on.")
    flags.DEFINE_list("feature_names", ["rgb", "audio"], "Feature lists.")
    flags.DEFINE_list("feature_sizes", ["1024", "128"], "Width of each.")
    _define_defaults(SyntheticSettings, _SYNTHETIC_HELP)


def _define_defaults(settings: type, help_texts: dict[str, str]) -> None:
    """Defines a flag for each named field, with the field's default."""
    define = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        bool: flags.DEFINE_boolean,
    }
    for field in dataclasses.fields(settings):
        if field.name in help_texts:
            define[field.type](
                field.name, field.default, help_texts[field.name]
            )


def define_regime_flag() -> None:
    """Defines what teaches the student."""
    flags.DEFINE_enum(
        "regime",
        "parallel",
        ["parallel", "serial", "mimic", "labels", "teacher"],
        "parallel: teacher and student in the same steps; serial: the student "
        "from --teacher_checkpoints; mimic: the student's embedding alone from "
        "one of them, under its classifier, to be fine-tuned; labels: the "
        "student on labels alone; teacher: the teacher on labels alone.",
    )


def parse_numbers(flag: str, texts: list[str], kind: type) -> list[Any]:
    """Returns the numbers of a list flag.

    Raises:
      ValueError: One is no number of the kind, or not above 0.
    """
    try:
        numbers = [kind(text) for text in texts]
    except ValueError:
        numbers = []
    if not numbers or not all(number > 0 for number in numbers):
        raise ValueError(
            f"--{flag} must be numbers above 0, got {','.join(texts)!r}."
        )
    return numbers

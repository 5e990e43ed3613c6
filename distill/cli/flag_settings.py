"""From the flags' values to settings."""

import dataclasses
from typing import Any

from absl import flags

from distill.cli.data_settings import (
    data_schema,
    data_schema_over,
    given_feature_lists,
    require,
)
from distill.cli.flag_sets import STUDENT_PREFIX
from distill.datasets.synthetic_settings import SyntheticSettings
from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.ensemble_file import Ensemble, is_ensemble
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.training import DistillationSettings, TrainingSettings

FLAGS = flags.FLAGS


def joint_settings() -> RunSettings:
    """Returns the settings of a teacher and a student trained together.

    Raises:
      ValueError: A size is given that neither model has.
    """
    teacher, student = _networks()
    return RunSettings(
        data=data_schema(),
        student=student,
        training=training_settings(),
        teacher=teacher,
        distillation=_distillation(),
    )


def serial_settings(**changes: Any) -> RunSettings:
    """Returns the settings of the same student and trained teachers.

    Args:
      **changes: Fields of `DistillationSettings` over the flags'.
    """
    require("teacher_checkpoints")
    return RunSettings(
        data=data_schema(),
        student=_networks()[1],
        training=training_settings(),
        distillation=_distillation(**changes),
        **_teachers(FLAGS.teacher_checkpoints),
    )


def _teachers(checkpoints: list[str]) -> dict[str, tuple]:
    """Returns which networks teach: checkpoints, or an ensemble's members.

    Raises:
      ValueError: An ensemble stands beside others, or its file holds none.
    """
    ensembles = [file for file in checkpoints if is_ensemble(file)]
    if not ensembles:
        return {"teacher_checkpoints": tuple(checkpoints)}
    if len(checkpoints) > 1:
        raise ValueError(
            f"--teacher_checkpoints: the ensemble {ensembles[0]} must be given "
            f"alone, got {len(checkpoints)} files."
        )
    members = Ensemble.read(ensembles[0]).used_members
    return {
        "teacher_checkpoints": tuple(m.checkpoint for m in members),
        "teacher_weights": tuple(member.weight for member in members),
        "teacher_networks": tuple(member.role for member in members),
    }


def mimic_settings() -> RunSettings:
    """Returns those of a student that learns its teacher's embedding alone."""
    return serial_settings(
        mimic=True, student_label_loss_weight=0.0, prediction_loss_weight=0.0
    )


def student_settings() -> RunSettings:
    """Returns the settings of the same student trained on labels alone."""
    return RunSettings(data_schema(), _networks()[1], training_settings())


def teacher_settings() -> RunSettings:
    """Returns the settings of the teacher trained alone, on labels."""
    return RunSettings(data_schema(), _networks()[0], training_settings())


REGIMES = {
    "parallel": joint_settings,
    "serial": serial_settings,
    "mimic": mimic_settings,
    "labels": student_settings,
    "teacher": teacher_settings,
}


def _networks() -> tuple[NetworkSettings, NetworkSettings]:
    """Returns the teacher and the student.

    Raises:
      ValueError: A size is given that neither model has.
    """
    teacher_model, student_model = _model_names()
    teacher = _network(teacher_model, ("",), ALL_FRAMES)
    student = _network(
        student_model, ("", STUDENT_PREFIX), frame_budget(ALL_FRAMES)
    )
    _check_used("", teacher, student)
    _check_used(STUDENT_PREFIX, student)
    return teacher, student


def _distillation(**changes: Any) -> DistillationSettings:
    return DistillationSettings(**_flag_values(DistillationSettings) | changes)


def _model_names() -> tuple[str, str]:
    """Returns the names of the teacher's and of the student's model."""
    teacher = FLAGS.model
    if teacher is None:
        teacher = next(iter(registry.MODELS))
    student = FLAGS.student_model
    return teacher, teacher if student is None else student


def _check_used(prefix: str, *networks: NetworkSettings) -> None:
    """Raises a ValueError for a size that none of the networks has."""
    for name in _given_arguments((prefix,)):
        if not any(name in network.arguments for network in networks):
            models = " or ".join(sorted({n.model for n in networks}))
            sizes = sorted({a for n in networks for a in n.arguments})
            raise ValueError(
                f"--{prefix}{name} is no size of {models}, whose sizes are "
                f"{', '.join(sizes)}."
            )


def finetuning_settings(trained: RunSettings) -> RunSettings:
    """Returns the settings of a student that goes on from a checkpoint.

    Args:
      trained: The settings of the run that wrote `--student_checkpoint`;
        sizes and keys that no flag gives are taken from it.

    Raises:
      ValueError: The flags name another model, or there is no student.
    """
    student = trained.network("student")
    model = student.model
    asked = FLAGS.model if FLAGS.student_model is None else FLAGS.student_model
    if asked not in (None, model):
        raise ValueError(
            f"--model or --student_model is {asked}; the student of "
            f"{FLAGS.student_checkpoint} is a {model}."
        )
    arguments = dict(student.arguments)
    arguments |= _given_arguments(("", STUDENT_PREFIX))
    return RunSettings(
        data=data_schema_over(trained.data),
        student=dataclasses.replace(
            student,
            arguments=registry.resolve_arguments(model, arguments),
            budget=frame_budget(student.budget),
        ),
        training=training_settings(),
        initial_checkpoint=FLAGS.student_checkpoint,
    )


def frame_budget(otherwise: FrameBudget) -> FrameBudget:
    """Returns the budget of the flags, or another where none is given.

    Raises:
      ValueError: The flags do not fit one another.
    """
    given = {
        "selection": FLAGS.frame_selection,
        "every_n": FLAGS.every_n,
        "num_frames": FLAGS.frame_budget,
    }
    if "random_offset" in FLAGS:
        given["random_offset"] = FLAGS.random_offset
        given["fewest_frames"] = FLAGS.fewest_frames
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return otherwise
    if "num_frames" in given:
        given.setdefault("selection", "uniform_k")
    return FrameBudget(**given)


def _network(
    model: str, prefixes: tuple[str, ...], budget: FrameBudget
) -> NetworkSettings:
    """Returns a network of the flags; later prefixes override earlier."""
    arguments = registry.resolve_arguments(model, _given_arguments(prefixes))
    return NetworkSettings(model, arguments, budget)


def _given_arguments(prefixes: tuple[str, ...]) -> dict[str, Any]:
    given = {}
    for prefix in prefixes:
        for name in registry.argument_fields():
            value = FLAGS[prefix + name].value
            if value is not None:
                given[name] = value
    return given


def training_settings() -> TrainingSettings:
    """Returns how a run trains."""
    values = _flag_values(TrainingSettings)
    # The references write the names of TensorFlow 1's classes.
    values["optimizer"] = values["optimizer"].removesuffix("Optimizer")
    return TrainingSettings(**values)


def run_option_values() -> dict[str, Any]:
    """Returns what `distill.settings.run_options.RunOptions` takes, by name."""
    names = (
        "train_dir",
        "start_new_model",
        "log_every_steps",
        "checkpoint_every_steps",
        "checkpoint_every_minutes",
        "export_model_steps",
        "keep_checkpoints",
        "on_bad_record",
        "eval_data_pattern",
        "top_k",
        "on_nan",
        "shard_by",
    )
    return {name: FLAGS[name].value for name in names}


def synthetic_settings() -> list[SyntheticSettings]:
    """Returns the settings of the training and the validation split."""
    values = {
        field.name: FLAGS[field.name].value
        for field in dataclasses.fields(SyntheticSettings)
        if field.name in FLAGS
    } | given_feature_lists()
    return [
        SyntheticSettings(split=split, num_videos=count, **values)
        for split, count in (
            ("train", FLAGS.num_train_videos),
            ("validate", FLAGS.num_validate_videos),
        )
    ]


def _flag_values(settings: type) -> dict[str, Any]:
    return {
        field.name: FLAGS[field.name].value
        for field in dataclasses.fields(settings)
        if field.name in FLAGS
    }

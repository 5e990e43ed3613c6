"""From the flags' values to settings."""

import dataclasses
from typing import Any

from absl import flags

from distill.data.schema import SEGMENT_FRAMES, DataSchema, make_schema
from distill.data.synthetic_settings import SyntheticSettings
from distill.settings import (
    DistillationSettings,
    NetworkSettings,
    RunSettings,
    TrainingSettings,
)
from models import registry
from scripts.flag_sets import STUDENT_PREFIX

FLAGS = flags.FLAGS


def require(*names: str) -> None:
    """Raises a ValueError that names the flags without a value."""
    missing = [f"--{name}" for name in names if FLAGS[name].value is None]
    if missing:
        raise ValueError(f"Give a value to {', '.join(missing)}.")


def data_schema() -> DataSchema:
    """Returns the layout of the records that the flags describe."""
    return make_schema(
        FLAGS.dataset or "yt8m_2018",
        frame_features=FLAGS.frame_features is not False,
        **_given_schema_fields(),
    )


def data_schema_over(trained: DataSchema) -> DataSchema:
    """Returns a checkpoint's layout with what the flags say over it."""
    if FLAGS.dataset is not None:
        return data_schema()
    given = _given_schema_fields()
    if FLAGS.frame_features is not None:
        given["frame_features"] = FLAGS.frame_features
    return dataclasses.replace(trained, **given)


def data_schema_like(trained: DataSchema) -> DataSchema:
    """Returns a checkpoint's layout with the keys that the flags give.

    Raises:
      ValueError: The flags give widths, classes or frames other than those
        that the checkpoint was trained on.
    """
    schema = data_schema_over(trained)
    for name in (
        "segment_labels",
        "frame_features",
        "feature_sizes",
        "num_classes",
        "max_frames",
    ):
        old, new = getattr(trained, name), getattr(schema, name)
        if old != new:
            raise ValueError(
                f"--{name}: the checkpoint was trained with {old}, the flags "
                f"(--dataset among them) give {new}."
            )
    return schema


def _given_schema_fields() -> dict[str, Any]:
    names = (
        "id_key",
        "labels_key",
        "num_classes",
        "max_frames",
        "segment_labels",
    )
    fields = {name: FLAGS[name].value for name in names}
    fields = {name: fields[name] for name in names if fields[name] is not None}
    if FLAGS.segment_labels:
        fields.setdefault("max_frames", SEGMENT_FRAMES)
    return fields | _given_feature_lists()


def _given_feature_lists() -> dict[str, tuple]:
    fields: dict[str, tuple] = {}
    if FLAGS.feature_names is not None:
        fields["feature_names"] = tuple(FLAGS.feature_names)
    if FLAGS.feature_sizes is not None:
        try:
            fields["feature_sizes"] = tuple(map(int, FLAGS.feature_sizes))
        except ValueError as error:
            raise ValueError(
                "--feature_sizes must be whole numbers, got "
                f"{FLAGS.feature_sizes}."
            ) from error
    return fields


def joint_settings() -> RunSettings:
    """Returns the settings of a teacher and a student trained together.

    Raises:
      ValueError: A size is given that neither model has.
    """
    teacher_model, student_model = _model_names()
    teacher = _network(teacher_model, ("",), 1)
    student = _network(student_model, ("", STUDENT_PREFIX), _every_n(1))
    _check_used("", teacher, student)
    _check_used(STUDENT_PREFIX, student)
    return RunSettings(
        data=data_schema(),
        student=student,
        training=training_settings(),
        teacher=teacher,
        distillation=DistillationSettings(**_flag_values(DistillationSettings)),
    )


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


def student_settings() -> RunSettings:
    """Returns the settings of the same student trained on labels alone."""
    return dataclasses.replace(
        joint_settings(), teacher=None, distillation=None
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
            every_n=_every_n(student.every_n),
        ),
        training=training_settings(),
        initial_checkpoint=FLAGS.student_checkpoint,
    )


def _every_n(otherwise: int) -> int:
    return otherwise if FLAGS.every_n is None else FLAGS.every_n


def _network(
    model: str, prefixes: tuple[str, ...], every_n: int
) -> NetworkSettings:
    """Returns a network of the flags; later prefixes override earlier."""
    arguments = registry.resolve_arguments(model, _given_arguments(prefixes))
    return NetworkSettings(model, arguments, every_n)


def _given_arguments(prefixes: tuple[str, ...]) -> dict[str, Any]:
    given = {}
    for prefix in prefixes:
        for name in registry.argument_types():
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
    """Returns what `distill.training.run_options.RunOptions` takes, by name."""
    names = (
        "train_dir",
        "start_new_model",
        "log_every_steps",
        "checkpoint_every_steps",
        "checkpoint_every_minutes",
        "keep_checkpoints",
        "on_bad_record",
        "eval_data_pattern",
        "top_k",
    )
    return {name: FLAGS[name].value for name in names}


def evaluation_reader(
    checkpoint: str, *, need_labels: bool, pattern: str | None = None
) -> Any:
    """Returns a reader of the files to score or to predict.

    Args:
      checkpoint: The checkpoint whose network will read them.
      need_labels: Whether a record without labels is bad.
      pattern: Globs; None: those of --eval_data_pattern.
    """
    from distill.data.files import find_files
    from distill.data.pipeline import VideoReader
    from distill.training.checkpoints import read_settings

    if pattern is None:
        require("eval_data_pattern")
        pattern = FLAGS.eval_data_pattern
    return VideoReader(
        data_schema_like(read_settings(checkpoint).data),
        find_files(pattern),
        FLAGS.batch_size,
        need_labels=need_labels,
        on_bad_record=FLAGS.on_bad_record,
    )


def top_segments(num_classes: int) -> Any:
    """Returns what keeps the best segments of the classes to write."""
    from distill.segment_inference import TopSegments, read_class_list

    file = FLAGS.segment_label_ids_file
    classes = (
        range(num_classes)
        if file is None
        else read_class_list(file, num_classes)
    )
    return TopSegments(classes, FLAGS.segment_max_per_class)


def synthetic_settings() -> list[SyntheticSettings]:
    """Returns the settings of the training and the validation split."""
    values = {
        field.name: FLAGS[field.name].value
        for field in dataclasses.fields(SyntheticSettings)
        if field.name in FLAGS
    } | _given_feature_lists()
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
    }

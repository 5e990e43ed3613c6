"""The settings of a run, read from the flags."""

import dataclasses
import sys
from typing import Any

from distill.cli.flag_groups import STUDENT_PREFIX
from distill.cli.flag_parsing import stands_on_command_line
from distill.cli.next_command import next_command
from distill.cli.settings_flags import FLAGS, flag_value, given, read, require
from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.models.presets import PAPER, taught_budget
from distill.networks.ensemble_file import Ensemble, is_ensemble
from distill.settings.class_names import choose_class_names
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.run_options import RunOptions
from distill.settings.schema import SEGMENT_FRAMES, DataSchema, make_schema
from distill.settings.training import (
    SMALL_TRAINING,
    DistillationSettings,
    TrainingSettings,
)


def data_schema() -> DataSchema:
    """Returns the layout of the records that the flags describe."""
    overrides = given(DataSchema)
    level = overrides.pop("frame_features", True)
    return make_schema(
        FLAGS.dataset or "yt8m_2018", frame_features=level, **overrides
    )


def data_schema_over(trained: DataSchema) -> DataSchema:
    """Returns a checkpoint's layout with the flags' values over it."""
    if FLAGS.dataset is not None:
        return data_schema()
    overrides = given(DataSchema)
    if overrides.get("segment_labels"):
        overrides.setdefault("max_frames", SEGMENT_FRAMES)
    return dataclasses.replace(trained, **overrides)


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
        "quantisation_min",
        "quantisation_max",
    ):
        old, new = getattr(trained, name), getattr(schema, name)
        if old != new:
            raise ValueError(
                f"--{name}: the checkpoint was trained with {old}, the flags "
                f"(--dataset among them) give {new}."
            )
    if not trained.reads_frames_of(schema):
        raise ValueError(
            "--float_frames: the checkpoint was trained with floats, the flags "
            "(--dataset among them) give bytes."
        )
    return schema


def frame_budget(otherwise: FrameBudget = ALL_FRAMES) -> FrameBudget:
    """Returns the budget of the flags, or another where none is given."""
    fields = given(FrameBudget)
    return FrameBudget.of(**fields) if fields else otherwise


def training_settings() -> TrainingSettings:
    """Returns the settings of training, by the preset where no flag is given.

    The defaults of the flags are those of the preset `small`.
    """
    ungiven = {
        field.name: field.default
        for field in dataclasses.fields(TrainingSettings)
        if field.name in SMALL_TRAINING
        and field.name in FLAGS
        and FLAGS.preset == PAPER
        and FLAGS[field.name].using_default_value
    }
    return read(TrainingSettings, **ungiven)


def run_settings(regime: str) -> RunSettings:
    """Returns the settings of a run of one of `flag_groups.REGIMES`.

    Raises:
      ValueError: A size is given that no network of the flags has, or the
        flags contradict each other.
    """
    data, training, budget = data_schema(), training_settings(), ALL_FRAMES
    is_taught = regime not in ("labels", "teacher")
    if is_taught and data.frame_features and not data.segment_labels:
        budget = taught_budget(FLAGS.preset)
    teacher, student = _networks(frame_budget(budget))
    if not is_taught:
        alone = student if regime == "labels" else teacher
        return RunSettings(data, alone, training)
    taught: dict[str, Any] = {"teacher": teacher}
    changes: dict[str, Any] = {}
    if regime != "parallel":
        require("teacher_checkpoints")
        taught = _trained_teachers(FLAGS.teacher_checkpoints)
    if regime == "mimic":
        changes = {
            "mimic": True,
            "student_label_loss_weight": 0.0,
            "prediction_loss_weight": 0.0,
        }
    return RunSettings(
        data=data,
        student=student,
        training=training,
        distillation=read(DistillationSettings, **changes),
        **taught,
    )


def _trained_teachers(checkpoints: tuple[str, ...]) -> dict[str, tuple]:
    """Returns the fields of `RunSettings` that name trained teachers."""
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


def _networks(
    budget: FrameBudget,
) -> tuple[NetworkSettings, NetworkSettings]:
    """Returns the teacher and, with its budget, the student of the flags."""
    teacher_model = FLAGS.model or next(iter(registry.MODELS))
    student_model = FLAGS.student_model or teacher_model
    shared, own = _given_sizes(""), _given_sizes(STUDENT_PREFIX)
    teacher = NetworkSettings(
        teacher_model,
        registry.resolve_arguments(teacher_model, shared, FLAGS.preset),
    )
    student = NetworkSettings(
        student_model,
        registry.resolve_arguments(student_model, shared | own, FLAGS.preset),
        budget,
    )
    _check_used("", shared, teacher, student)
    _check_used(STUDENT_PREFIX, own, student)
    return teacher, student


def _given_sizes(prefix: str) -> dict[str, Any]:
    values = {
        name: FLAGS[prefix + name].value for name in registry.argument_fields()
    }
    return {name: value for name, value in values.items() if value is not None}


def _check_used(
    prefix: str, sizes: dict[str, Any], *networks: NetworkSettings
) -> None:
    """Checks that each size is one of the networks'.

    A flagfile may hold sizes of other models, so that one serves several.

    Raises:
      ValueError: A size of the command line is none of theirs.
    """
    known = sorted({name for network in networks for name in network.arguments})
    unknown = [prefix + name for name in sizes if name not in known]
    models = " or ".join(sorted({network.model for network in networks}))
    for name in filter(stands_on_command_line, unknown):
        raise ValueError(
            f"--{name} is no size of {models}, whose sizes are "
            f"{', '.join(known)}."
        )
    if unknown:
        listed = ", ".join(f"--{name}" for name in unknown)
        print(f"NOTE: {models} leaves out sizes of the flagfile: {listed}.")


def finetuning_settings(trained: RunSettings) -> RunSettings:
    """Returns the settings of a student that is trained further on labels.

    Args:
      trained: The settings of the run that wrote `--student_checkpoint`;
        sizes and keys that no flag gives are taken from it.

    Raises:
      ValueError: The flags name another model, or there is no student.
    """
    student = trained.network("student")
    asked = FLAGS.student_model or FLAGS.model
    if asked not in (None, student.model):
        raise ValueError(
            f"--model or --student_model is {asked}; the student of "
            f"{FLAGS.student_checkpoint} is a {student.model}."
        )
    settings = trained.to_finetune(
        FLAGS.student_checkpoint,
        training_settings(),
        data=data_schema_over(trained.data),
        budget=frame_budget(student.budget),
    )
    sizes = {
        **student.arguments,
        **_given_sizes(""),
        **_given_sizes(STUDENT_PREFIX),
    }
    arguments = registry.resolve_arguments(student.model, sizes)
    return dataclasses.replace(
        settings,
        student=dataclasses.replace(
            settings.network("student"), arguments=arguments
        ),
    )


def start_workers() -> Any:
    """Starts TensorFlow as the flags say; returns this process's `Workers`."""
    from distill.cli.entry_point import start_tensorflow

    return start_tensorflow(FLAGS.gpu, FLAGS.strategy, FLAGS.deterministic)


def start_run() -> Any:
    """Names the run at once, then starts TensorFlow as `start_workers` does."""
    # TensorFlow takes seconds to start.
    print(f"{sys.argv[0]}, {FLAGS.train_dir}: TensorFlow starts", flush=True)
    return start_workers()


def train(settings: RunSettings, workers: Any) -> int:
    """Trains; returns 1 if a signal ended training early."""
    from distill.deployment.step_export import StepExport
    from distill.training.loop import TrainingRun
    from distill.training.run import TrainingResult

    export = None
    if FLAGS.export_model_steps:
        export = StepExport(
            settings,
            FLAGS.eval_data_pattern or settings.training.train_data_pattern,
            choose_class_names(
                FLAGS.class_names_file, settings.data.num_classes
            ),
            FLAGS.on_bad_record,
        )
    run = TrainingRun(settings, read(RunOptions), export, workers)
    if not run.train():
        return 1
    if workers.is_chief:
        _print_ending(settings, TrainingResult.of(run))
    return 0


def _print_ending(settings: RunSettings, run: Any) -> None:
    """Prints the results, the best score and the command that follows."""
    result = str(run.checkpoint)
    best = None if run.best is None else str(run.best)
    print(f"result: {result}")
    if best is not None:
        print(f"best: {best}, validation GAP {run.best_gap:.4f}")
    if settings.autoencoder is None:
        print(f"next: {_following_command(settings, result, best)}")


def _following_command(
    settings: RunSettings, result: str, best: str | None
) -> str:
    directory = FLAGS.train_dir
    chosen = {"checkpoint": best or result}
    if settings.distillation is not None:
        student = f"{directory}/student.h5"
        return next_command("convert", chosen, {"student_checkpoint": student})
    if flag_value("regime") == "teacher":
        changes = {
            "regime": "serial",
            "teacher_checkpoints": best or result,
            "train_dir": f"{directory}_student",
        }
        return next_command("train", changes)
    verb = "evaluate"
    if best is not None:
        verb, chosen["export_dir"] = "export", f"{directory}/export"
    unknown = {"eval_data_pattern": "FILES_WITH_LABELS"}
    return next_command(verb, chosen, unknown)

"""The rate of a small study, beside its trainings' steps alone."""

import contextlib
import dataclasses
import io
import itertools
import math
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from distill.datasets.synthetic import write_synthetic_data
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.settings.network import network
from distill.settings.run import RunSettings
from distill.settings.schema import make_schema
from distill.settings.synthetic import SyntheticSettings
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.system.storage import to_path
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row
from tools.process_memory import run_in_new_process

_MODEL = "NetVLADModelLF"
_BUDGETS = (5, 30)
_ROWS = ("Labels", "From the teacher")
_EPOCHS = 3
_BATCH_SIZE = 64
_WIDTHS, _CLASSES = (64, 16), 50
_TIMED_STEPS = 10


def measure(plan: Plan) -> list[Row]:
    """Returns the row of a study of one teacher and four students."""
    with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
        for split in ("train", "validate"):
            settings = SyntheticSettings(
                split=split,
                num_videos=plan.study_videos,
                feature_sizes=_WIDTHS,
                num_classes=_CLASSES,
            )
            for _ in write_synthetic_data(settings, folder):
                pass
        whole, steps = run_in_new_process(_run_study, folder, plan.study_videos)
    num_rows = len(_ROWS) * len(_BUDGETS)
    return [
        Row(
            "study",
            f"{num_rows} rows of {plan.study_videos} videos, {_EPOCHS} epochs",
            "rows/min",
            60 * num_rows / whole,
            60 * num_rows / steps,
            "the trainings' steps alone",
        )
    ]


def _run_study(folder: str, num_videos: int) -> tuple[float, float]:
    """Returns the seconds of a study, and of its trainings' steps alone."""
    import distill
    from distill.distributed.devices import choose_devices

    choose_devices(-1)
    units = make_units(folder)
    study = distill.Study(
        units[0].directory.parent,
        units[:1],
        units[1:],
        _BUDGETS,
        _ROWS[0],
        "distill study",
        {row: "" for row in _ROWS},
    )
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        distill.run_study(study)
    whole = time.perf_counter() - start
    num_steps = math.ceil(num_videos / _BATCH_SIZE) * _EPOCHS
    trainings = [unit.stages[0] for unit in units]
    return whole, num_steps * sum(map(_seconds_a_step, trainings))


def make_units(folder: str) -> tuple[Any, ...]:
    """Returns the teacher's unit, and one for every row and budget.

    The teacher's unit stands in the folder `study`, as the others do.
    """
    import distill

    directory, pattern = to_path(folder) / "study", f"{folder}/validate-*"
    teacher = distill.Unit(
        "Teacher",
        None,
        0,
        directory / "teacher",
        (_make_settings(folder, ALL_FRAMES),),
        {300: ALL_FRAMES},
        pattern,
    )
    units = [teacher]
    for row, frames in itertools.product(_ROWS, _BUDGETS):
        budget = FrameBudget("uniform_k", num_frames=frames)
        taught = [str(teacher.checkpoint)] if row != _ROWS[0] else []
        units.append(
            distill.Unit(
                row,
                frames,
                0,
                directory / f"{row}{frames}",
                (_make_settings(folder, budget, taught),),
                {frames: budget},
                pattern,
            )
        )
    return tuple(units)


def _make_settings(
    folder: str, budget: FrameBudget, teachers: Sequence[str] = ()
) -> RunSettings:
    return RunSettings(
        make_schema("yt8m_2018", feature_sizes=_WIDTHS, num_classes=_CLASSES),
        dataclasses.replace(network(_MODEL), budget=budget),
        TrainingSettings(
            f"{folder}/train-*", batch_size=_BATCH_SIZE, num_epochs=_EPOCHS
        ),
        distillation=DistillationSettings() if teachers else None,
        teacher_checkpoints=tuple(teachers),
    )


def _seconds_a_step(settings: RunSettings) -> float:
    """Returns the seconds of a training's step on a batch in memory."""
    from distill.data.files import find_files
    from distill.data.pipeline import VideoReader
    from distill.reporting.timing import median_seconds
    from distill.training.trainers import build_trainer

    trainer = build_trainer(settings)
    training = settings.training
    reader = VideoReader(
        settings.data,
        find_files(training.train_data_pattern),
        training.batch_size,
        **trainer.reader_options,
    )
    batch = next(iter(reader.read_once()))

    def step() -> None:
        terms, _ = trainer.train_step(batch, training.base_learning_rate)
        float(terms["loss"])

    return median_seconds(step, _TIMED_STEPS)

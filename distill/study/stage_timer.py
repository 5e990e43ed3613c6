"""Timing of a study's trainings: a few real steps on the real records."""

import contextlib
import dataclasses
import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import keras

from distill.checkpoints.checkpoint import require_checkpoints
from distill.checkpoints.conversion import convert
from distill.evaluation.evaluate import evaluate_network
from distill.networks.loading import load_network
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.study.runner import EVALUATION_BATCH, read_videos
from distill.system.storage import to_path
from distill.training.loop import TrainingRun

# Steps and seconds of one timing, at most. The first steps compile.
_UNTIMED_STEPS, _TIMED_STEPS = 2, 20
_STEP_SECONDS = 3.0
_SCORED_BATCHES = 2


@dataclasses.dataclass(frozen=True)
class StageTime:
    """Seconds of a kind of training and of scoring its student.

    Attributes:
      start: To build and compile it, and to write its student.
      wait: For the first batch of an epoch.
      step: Of a step, with the wait for its batch.
      score_start: To load the student and compile its evaluation.
      score_video: To score a video.
    """

    start: float
    wait: float
    step: float
    score_start: float
    score_video: float


class StageTimer(contextlib.AbstractContextManager):
    """Times trainings in a temporary directory, which the end removes.

    Args:
      teachers: Settings of the trained teachers by checkpoint. For one whose
        file is missing, a file of fresh weights stands in.
    """

    def __init__(self, teachers: dict[str, RunSettings]):
        self._teachers = teachers
        self._temporary = tempfile.TemporaryDirectory(prefix="distill_timing_")
        self._stand_ins: dict[str, str] = {}
        self._num_runs = 0

    def __exit__(self, *_: Any) -> None:
        """Removes the directory."""
        self._temporary.cleanup()

    def time(self, settings: RunSettings, eval_data_pattern: str) -> StageTime:
        """Times one training and the scoring of its student."""
        settings = dataclasses.replace(
            settings,
            initial_checkpoint=None,
            teacher_checkpoints=tuple(
                self._find_teacher(file)
                for file in settings.teacher_checkpoints
            ),
        )
        begin = time.perf_counter()
        run = self._make_run(settings)
        built = time.perf_counter() - begin
        waits, steps = _time_steps(run)
        begin = time.perf_counter()
        student = self._write_student(run)
        written = time.perf_counter() - begin
        del run
        _forget_networks()
        timed = steps[_UNTIMED_STEPS:] or steps[-1:]
        step = sum(timed) / len(timed)
        first = steps[:_UNTIMED_STEPS]
        return StageTime(
            built + max(sum(first) - step * len(first), 0) + written,
            sum(waits) / len(waits),
            step,
            *_time_scoring(student, settings, eval_data_pattern),
        )

    def _find_teacher(self, file: str) -> str:
        if to_path(file).exists():
            return file
        teacher = self._teachers[file]
        key = repr(teacher.network("student"))
        if key not in self._stand_ins:
            student = self._write_student(self._make_run(teacher))
            self._stand_ins[key] = str(student)
            _forget_networks()
        return self._stand_ins[key]

    def _make_run(self, settings: RunSettings) -> TrainingRun:
        self._num_runs += 1
        directory = Path(self._temporary.name) / f"run{self._num_runs}"
        return TrainingRun(settings, RunOptions(str(directory), quiet=True))

    def _write_student(self, run: TrainingRun) -> Path:
        with run.state.locked():
            run.state.save()
        (checkpoint,) = require_checkpoints(run.state.directory)
        student = run.state.directory / "student.h5"
        convert(checkpoint, student)
        return student


def _time_steps(run: TrainingRun) -> tuple[list[float], list[float]]:
    """Returns the seconds of the epochs' first waits and of the steps."""
    waits: list[float] = []
    steps: list[float] = []
    while True:
        run.progress.positions = ()
        begin = time.perf_counter()
        batches = run.read_epoch([])
        is_first = True
        for batch in batches:
            if is_first:
                waits.append(time.perf_counter() - begin)
                begin += waits[-1]
                is_first = False
            run.step(batch)
            steps.append(time.perf_counter() - begin)
            begin += steps[-1]
            timed = steps[_UNTIMED_STEPS:]
            if len(timed) == _TIMED_STEPS or sum(timed) > _STEP_SECONDS:
                return waits, steps


def _time_scoring(
    student: Path, settings: RunSettings, eval_data_pattern: str
) -> tuple[float, float]:
    """Returns the seconds to start an evaluation, and those of a video."""
    reader = read_videos(settings.data, eval_data_pattern)
    wanted = _SCORED_BATCHES * EVALUATION_BATCH
    share = min(1.0, wanted / max(reader.estimate_num_examples(), 1))
    begin = time.perf_counter()
    network: Any = load_network(student, "student")
    reader = dataclasses.replace(reader, share=share)
    scores = evaluate_network(network, reader)
    seconds = time.perf_counter() - begin
    _forget_networks()
    is_video = "num_videos" in scores
    num_scored = scores["num_videos" if is_video else "num_segments"]
    rate = scores["examples_per_second"] or num_scored / seconds
    return max(seconds - num_scored / rate, 0.0), 1 / rate


def _forget_networks() -> None:
    keras.backend.clear_session()
    gc.collect()

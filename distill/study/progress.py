"""A study's progress, and an estimate of the time for the rest."""

import collections
import dataclasses
import math
import statistics
from collections.abc import Iterator, Sized
from typing import NamedTuple, Protocol

import numpy as np

from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.models.frame_budget import ALL_FRAMES
from distill.settings.run import RunSettings
from distill.settings.schema import DataSchema
from distill.study.plan import Study, Unit
from distill.study.runner import read_result
from distill.study.stage_timer import StageTime


class Timer(Protocol):
    """The part of `StageTimer` that an estimate uses."""

    def time(self, settings: RunSettings, eval_data_pattern: str) -> StageTime:
        """Times one training and the scoring of its student."""


class Kind(NamedTuple):
    """A kind of training: its name, its form, and the frames it sees.

    Trainings of one form differ in frames, losses and lengths alone.
    """

    name: str
    form: str
    frames: int

    @property
    def title(self) -> str:
        """Its name and frames in a line."""
        noun = "frame" if self.frames == 1 else "frames"
        return f"{self.name}, {self.frames} {noun}"


class Parts(NamedTuple):
    """Seconds of trainings: to start them, of their steps, to score them."""

    starts: float
    steps: float
    scoring: float


class KindEstimate(NamedTuple):
    """The estimate of the trainings of one kind; `parts` are None if unknown.

    `parts` are unknown if the times are those of finished trainings.
    """

    title: str
    num_trainings: int
    parts: Parts | None
    seconds: float


class Estimate:
    """Estimates the seconds of a study's units.

    A unit takes as long as the finished ones of its kind. Without any,
    `measure` times its kind.

    Attributes:
      todo: The units that are not done.
      teachers: Settings of the trained teachers by checkpoint.
    """

    def __init__(self, study: Study):
        self.todo: list[Unit] = []
        self.teachers = {
            str(teacher.checkpoint): teacher.stages[-1]
            for teacher in study.teachers
        }
        self._times: dict[str, dict[int, StageTime]] = {}
        # Finished units and their seconds.
        self._finished = collections.defaultdict[
            tuple[Kind, ...], list[tuple[Unit, float]]
        ](list)
        for unit in (*study.teachers, *study.units):
            result = read_result(unit)
            untrained = {str(other.checkpoint) for other in self.todo}
            # Its teachers may become others.
            if result is None or untrained & unit.teacher_files:
                self.todo.append(unit)
            else:
                self.finish(unit, result)

    def finish(self, unit: Unit, result: dict) -> None:
        """Learns from a finished unit, unless it was resumed."""
        if result["seconds"]:
            # Results of earlier versions have no time of the scoring.
            seconds = result["seconds"] + result.get("evaluation_seconds", 0)
            self._finished[self._kinds(unit)].append((unit, seconds))
        self.todo = [other for other in self.todo if other is not unit]

    def measure(self, timer: Timer, caught: Sized = ()) -> int:
        """Times the kinds of training of which none is finished.

        Of trainings that differ in frames alone those of the fewest and of the
        most are timed; the others lie on the line between them. Stops once
        `caught` holds a signal.

        Returns:
          The number of kinds that were timed.
        """
        stages: dict[str, dict[int, tuple[RunSettings, str]]] = {}
        for unit in self.todo:
            if self._kinds(unit) in self._finished:
                continue
            for stage, kind in zip(unit.stages, self._kinds(unit), strict=True):
                by_frames = stages.setdefault(kind.form, {})
                by_frames[kind.frames] = stage, unit.eval_data_pattern
        number = 0
        for form, by_frames in stages.items():
            for frames in sorted({min(by_frames), max(by_frames)}):
                if caught:
                    return number
                taken = timer.time(*by_frames[frames])
                self._times.setdefault(form, {})[frames] = taken
                number += 1
        return number

    def seconds(self, unit: Unit) -> float:
        """Returns the estimated seconds of a unit."""
        # Weights are in seconds once a form is timed, before that in steps.
        finished = self._finished.get(self._kinds(unit), ())
        factors = [taken / self._weight(done) for done, taken in finished]
        return self._weight(unit) * statistics.median(factors or [1.0])

    def seconds_left(self) -> float:
        """Returns the estimated seconds of all units that are not done."""
        return sum(map(self.seconds, self.todo))

    def by_kind(self) -> Iterator[KindEstimate]:
        """Yields the estimates of the units left, by their kind."""
        units = collections.defaultdict[tuple[Kind, ...], list[Unit]](list)
        for unit in self.todo:
            units[self._kinds(unit)].append(unit)
        for kinds, group in units.items():
            parts = None
            if kinds not in self._finished:
                each = zip(*map(self._parts, group), strict=True)
                parts = Parts(*map(sum, each))
            yield KindEstimate(
                ", then ".join(kind.title for kind in kinds),
                len(group),
                parts,
                sum(map(self.seconds, group)),
            )

    def _weight(self, unit: Unit) -> float:
        """Returns the timed seconds of a unit, or else its steps."""
        if all(kind.form in self._times for kind in self._kinds(unit)):
            return sum(self._parts(unit))
        return sum(count_steps(stage) for stage in unit.stages)

    def _parts(self, unit: Unit) -> Parts:
        starts = steps = 0.0
        for stage, kind in zip(unit.stages, self._kinds(unit), strict=True):
            taken = self._time(kind)
            num_steps = count_steps(stage)
            num_epochs = min(stage.training.num_epochs, num_steps)
            starts += taken.start + num_epochs * taken.wait
            steps += num_steps * taken.step
        num_videos = _num_examples(
            unit.eval_data_pattern, unit.stages[-1].data, 1.0
        )
        scoring = taken.score_start + num_videos * taken.score_video
        return Parts(starts, steps, len(unit.evaluations) * scoring)

    def _time(self, kind: Kind) -> StageTime:
        """Returns the time of a kind, between the timed ones of its form."""
        timed = sorted(self._times[kind.form].items())
        frames = [each for each, _ in timed]
        columns = zip(
            *(dataclasses.astuple(taken) for _, taken in timed), strict=True
        )
        return StageTime(
            *(float(np.interp(kind.frames, frames, c)) for c in columns)
        )

    def _kinds(self, unit: Unit) -> tuple[Kind, ...]:
        return tuple(map(self._kind, unit.stages))

    def _kind(self, settings: RunSettings) -> Kind:
        student, training = settings.network("student"), settings.training
        teachers = [
            self.teachers[file].network("student")
            for file in settings.teacher_checkpoints
        ]
        source = "on labels"
        if settings.teacher is not None:
            source = f"beside a {settings.teacher.model}"
        elif teachers:
            noun = "teacher" if len(teachers) == 1 else "teachers"
            source = f"from {len(teachers)} trained {noun}"
        form = (
            dataclasses.replace(student, budget=ALL_FRAMES),
            settings.teacher,
            teachers,
            settings.data,
            training.batch_size,
            training.accumulate_steps,
            training.student_views,
            training.mixed_precision,
        )
        frames = student.budget.width(settings.data.max_frames)
        return Kind(f"{student.model} {source}", repr(form), frames)


def count_steps(settings: RunSettings) -> int:
    """Returns the steps of a training, by the estimated number of records."""
    training = settings.training
    examples = _num_examples(
        training.train_data_pattern, settings.data, training.train_share
    )
    steps = math.ceil(examples / training.batch_size) * training.num_epochs
    return max(min(steps, training.max_steps or steps), 1)


# Counting reads some records of every pattern.
_COUNTS: dict[str, int] = {}


def _num_examples(pattern: str, schema: DataSchema, share: float) -> int:
    key = repr((pattern, schema, share))  # the schema cannot be hashed
    if key not in _COUNTS:
        reader = VideoReader(schema, find_files(pattern), 1, share=share)
        _COUNTS[key] = reader.estimate_num_examples()
    return _COUNTS[key]


def format_seconds(seconds: float) -> str:
    """Returns `2 h 05 min`, `12 min` or `40 s`."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes >= 2 else f"{seconds:.0f} s"

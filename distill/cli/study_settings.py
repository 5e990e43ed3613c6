"""From a study's flags to its plan: rows of flags over budgets and seeds."""

import contextlib
import dataclasses
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from absl import flags
from absl.testing import flagsaver

from distill.cli import flag_settings
from distill.cli.data_settings import require, whole_number, whole_numbers
from distill.models.frame_budget import FrameBudget
from distill.settings.run import RunSettings
from distill.study.plan import (
    CascadePlan,
    Study,
    Unit,
    stage_checkpoint,
    unit_directory,
)

FLAGS = flags.FLAGS
TEACHER = "Teacher"
_NEXT_STAGE = " THEN "


@dataclasses.dataclass(frozen=True)
class Row:
    """A method of the study.

    Attributes:
      name: Its name in the report.
      stages: The flags of each of its trainings.
      at_budget: Flags that come behind them at some budgets.
      text: All of them as they were given.
    """

    name: str
    stages: tuple[tuple[str, ...], ...]
    at_budget: dict[int, tuple[str, ...]]
    text: str

    @property
    def for_all(self) -> bool:
        """Whether one student serves all budgets."""
        return any("--fewest_frames" in flag for flag in self.stages[0])


def study_plan(command: str) -> Study:
    """Returns the study that the flags describe.

    Raises:
      ValueError: A row or a flag is not as it should be.
    """
    require(
        "train_data_pattern",
        "eval_data_pattern",
        "study_dir",
        "study_rows",
        "budgets",
    )
    budgets = whole_numbers("budgets")
    rows = _parse_rows(FLAGS.study_rows)
    baseline, own_baselines = _check_rows(rows)
    seeds = whole_numbers("seeds")
    teachers = tuple(map(_teacher_unit, whole_numbers("teacher_seeds")))
    units = [
        unit
        for seed in seeds
        for row in rows
        if seed in _row_numbers(row, "seeds", seeds)
        for unit in _row_units(
            row, _row_numbers(row, "budgets", budgets), seed, teachers
        )
    ]
    return Study(
        directory=Path(FLAGS.study_dir),
        teachers=teachers,
        units=tuple(units),
        budgets=tuple(budgets),
        baseline=baseline,
        command=command,
        flags={row.name: row.text for row in rows},
        cascades=tuple(_cascade_plans(budgets)),
        own_baselines=own_baselines,
    )


def _check_rows(rows: list[Row]) -> tuple[str, dict[str, str]]:
    """Returns the baseline, and the rows that others are held against.

    Raises:
      ValueError: Two rows have one directory, or a flag names no row.
    """
    names = [row.name for row in rows]
    folders = {unit_directory("", name, 0, 0): name for name in names}
    for name in names:
        other = folders[unit_directory("", name, 0, 0)]
        if other != name:
            raise ValueError(
                f"--study_rows: {name!r} and {other!r} have the same letters "
                "and digits, by which their directories are named."
            )
    baseline = FLAGS.baseline_row or names[0]
    own = {row.name: _own_baseline(row) for row in rows}
    own = {name: other for name, other in own.items() if other}
    for flag, name in [
        ("baseline_row", baseline),
        *(("baseline_row", other) for other in own.values()),
        *(("cascade_rows", name) for name in FLAGS.cascade_rows),
    ]:
        if name not in names:
            raise ValueError(f"--{flag}={name} is none of the rows {names}.")
        if flag == "cascade_rows" and not rows[names.index(name)].for_all:
            raise ValueError(
                f"--cascade_rows={name}: that row has no --fewest_frames, so "
                "no student of its serves every budget."
            )
    return baseline, own


def _cascade_plans(budgets: list[int]) -> Iterator[CascadePlan]:
    if not FLAGS.cascade_rows:
        return
    require("cascade_means", "calibration_data_pattern")
    if FLAGS.cascade_budgets is not None:
        budgets = whole_numbers("cascade_budgets")
    for row in FLAGS.cascade_rows:
        for text in FLAGS.cascade_means:
            try:
                mean = float(text)
            except ValueError as error:
                raise ValueError(
                    f"--cascade_means must be numbers, got {text!r}."
                ) from error
            yield CascadePlan(
                row, tuple(budgets), mean, FLAGS.calibration_data_pattern
            )


def _parse_rows(texts: list[str]) -> list[Row]:
    """Returns the rows of `NAME: FLAGS` and `NAME @ BUDGETS: FLAGS`."""
    rows: dict[str, Row] = {}
    for text in texts:
        title, separator, given = text.partition(":")
        name, at, numbers = (part.strip() for part in title.partition("@"))
        if not separator or not name:
            raise ValueError(f"--study_rows: {text!r} is not NAME: FLAGS.")
        if at and name not in rows:
            raise ValueError(
                f"--study_rows: {text!r} adds to a row that does not come "
                f"before it; there are {sorted(rows)}."
            )
        if at:
            for number in numbers.split(","):
                rows[name].at_budget[whole_number("study_rows", number)] = (
                    tuple(shlex.split(given))
                )
            more = f"{rows[name].text}; at {numbers}: {given.strip()}"
            rows[name] = dataclasses.replace(rows[name], text=more)
            continue
        for variant, chosen in _expand(given):
            full = ", ".join([name, *variant])
            if full in rows:
                raise ValueError(f"--study_rows: there are two of {full!r}.")
            stages = tuple(
                tuple(shlex.split(stage)) for stage in chosen.split(_NEXT_STAGE)
            )
            rows[full] = Row(full, stages, {}, chosen.strip())
    return list(rows.values())


def _expand(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields every choice of `{a|b}` in a text: what was chosen, the text."""
    parts = re.split(r"\{([^{}]*)\}", text)
    choices = [part.split("|") for part in parts[1::2]]
    for chosen in itertools.product(*choices):
        pieces = list(parts)
        pieces[1::2] = chosen
        yield chosen, "".join(pieces)


def _teacher_unit(seed: int) -> Unit:
    """Returns the training of one teacher."""
    directory = unit_directory(FLAGS.study_dir, TEACHER, None, seed)
    with _flags(shlex.split(FLAGS.teacher_flags)):
        settings = _with_seed(flag_settings.teacher_settings(), seed)
    budget = settings.student.budget
    frames = budget.width(settings.data.max_frames)
    return Unit(
        TEACHER,
        None,
        seed,
        directory,
        (settings,),
        {frames: budget},
        FLAGS.eval_data_pattern,
    )


def _row_numbers(row: Row, flag: str, numbers: list[int]) -> list[int]:
    """Returns a row's seeds or budgets: those of its own flags, or all."""
    with _flags([text for text in row.stages[0] if f"--{flag}=" in text]):
        own = whole_numbers(flag)
    for number in own:
        if number not in numbers:
            raise ValueError(
                f"--study_rows: {row.name!r} has --{flag}={number}, which is "
                f"none of --{flag}={','.join(map(str, numbers))}."
            )
    return own


def _own_baseline(row: Row) -> str | None:
    """Returns the row that a row is held against, if its flags name one."""
    with _flags([f for f in row.stages[0] if "--baseline_row=" in f]):
        return FLAGS.baseline_row


def _row_units(
    row: Row, budgets: list[int], seed: int, teachers: tuple[Unit, ...]
) -> Iterator[Unit]:
    """Yields a row's trainings of one seed: one a budget, or one for all."""
    for budget in [max(budgets)] if row.for_all else budgets:
        directory = unit_directory(FLAGS.study_dir, row.name, budget, seed)
        stages, scored = _stages(row, budget, seed, directory, teachers)
        kinds = budgets if row.for_all else [budget]
        yield Unit(
            row.name,
            stages[-1].student.budget.num_frames,
            seed,
            directory,
            stages,
            {k: dataclasses.replace(scored, num_frames=k) for k in kinds},
            FLAGS.eval_data_pattern,
        )


def _stages(row, budget, seed, directory, teachers):
    """Returns the settings of a row's trainings; the frames to score with."""
    stages: list[RunSettings] = []
    own: list[str] = [f"--frame_budget={budget}"]
    for index, stage in enumerate(row.stages):
        own += [*stage, *row.at_budget.get(budget, ())]
        try:
            with _flags(own):
                settings = _stage_settings(stages, index, directory, teachers)
                selection = FLAGS.evaluation_selection
        except ValueError as error:
            raise ValueError(
                f"--study_rows: {row.name!r} at {budget} frames: {error}"
            ) from error
        stages.append(_with_seed(settings, seed))
    scored = stages[-1].student.budget.at_evaluation()
    if selection:
        scored = FrameBudget(selection, num_frames=budget)
    return tuple(stages), scored


def _stage_settings(stages, index, directory, teachers) -> RunSettings:
    """Returns the settings of a stage, whose flags hold."""
    if index:
        FLAGS["student_checkpoint"].value = str(
            stage_checkpoint(directory, index - 1)
        )
        return flag_settings.finetuning_settings(stages[-1])
    number = FLAGS.num_teachers or len(teachers)
    if not 0 < number <= len(teachers):
        raise ValueError(
            f"--num_teachers must be from 1 to {len(teachers)}, the number of "
            f"--teacher_seeds, got {number}."
        )
    if FLAGS.regime == "mimic":
        number = 1
    FLAGS["teacher_checkpoints"].value = [
        str(teacher.checkpoint) for teacher in teachers[:number]
    ]
    return flag_settings.REGIMES[FLAGS.regime]()


@contextlib.contextmanager
def _flags(given: list[str]) -> Iterator[None]:
    """Sets flags for the time of the body."""
    with flagsaver.flagsaver():
        try:
            rest = FLAGS(["study", *given])[1:]
        except flags.Error as error:
            raise ValueError(str(error)) from error
        if rest:
            raise ValueError(f"not a flag: {rest[0]!r}")
        yield


def _with_seed(settings: RunSettings, seed: int) -> RunSettings:
    training = dataclasses.replace(settings.training, seed=seed)
    return dataclasses.replace(settings, training=training)

"""From a study's flags and rows to its plan."""

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl.testing import flagsaver

from distill.cli.config_files import find_file
from distill.cli.experiment import finetuning_settings, run_settings
from distill.cli.flag_parsing import parse_flags
from distill.cli.settings_flags import FLAGS, read, require
from distill.models.frame_budget import FrameBudget
from distill.settings.frame_cost import FrameCost
from distill.settings.run import RunSettings
from distill.study.plan import (
    CascadePlan,
    Study,
    Unit,
    stage_checkpoint,
    unit_directory,
)
from distill.study.rows import Row, read_rows, write_flags
from distill.system.storage import to_path

TEACHER = "Teacher"


def study_plan(command: str) -> Study:
    """Returns the study that the flags and the file of rows describe."""
    require(
        "train_data_pattern",
        "eval_data_pattern",
        "study_dir",
        "study_rows",
        "budgets",
    )
    budgets, seeds = _each_once("budgets"), _each_once("seeds")
    rows = read_rows(str(find_file(FLAGS.study_rows)))
    baseline = FLAGS.baseline_row or rows[0].name
    _check_references(rows, baseline)
    for row in rows:
        _check_numbers(row, "budgets", row.budgets, budgets)
        _check_numbers(row, "seeds", row.seeds, seeds)
        _check_numbers(row, "budgets", list(row.at) or None, budgets)
    teachers = tuple(map(_teacher_unit, _each_once("teacher_seeds")))
    units = [
        unit
        for seed in seeds
        for row in rows
        if seed in (row.seeds or seeds)
        for unit in _row_units(row, row.budgets or budgets, seed, teachers)
    ]
    return Study(
        directory=to_path(FLAGS.study_dir),
        teachers=teachers,
        units=tuple(units),
        budgets=tuple(budgets),
        baseline=baseline,
        command=command,
        flags={row.name: row.text for row in rows},
        cascades=tuple(_cascade_plans(budgets)),
        own_baselines={
            row.name: row.baseline_row for row in rows if row.baseline_row
        },
        highlights=tuple(row.name for row in rows if row.highlight),
        frame_cost=read(FrameCost),
    )


def _each_once(flag: str) -> list[int]:
    """Returns the numbers of a flag; ValueError unless each stands once."""
    numbers = list(FLAGS[flag].value or ())
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"--{flag} must name each number once: {numbers}.")
    return numbers


def _check_references(rows: Sequence[Row], baseline: str) -> None:
    """Raises a ValueError for a baseline or a cascade that is not a row."""
    named = {row.name: row for row in rows}
    references = [("--baseline_row", baseline)]
    references += [("--cascade_rows", name) for name in FLAGS.cascade_rows]
    references += [
        (f"{FLAGS.study_rows}, row {row.name!r}: baseline_row", other)
        for row in rows
        if (other := row.baseline_row)
    ]
    for place, name in references:
        if name not in named:
            raise ValueError(
                f"{place}={name} is not one of the rows {list(named)}."
            )
    for name in FLAGS.cascade_rows:
        if not named[name].for_all:
            raise ValueError(
                f"--cascade_rows={name}: that row has no fewest_frames, so it "
                "has no student that serves every budget."
            )


def _check_numbers(
    row: Row, flag: str, own: Sequence[int] | None, numbers: list[int]
) -> None:
    """Raises a ValueError unless a row's numbers are among the study's."""
    if own is None:
        return
    if not own or len(set(own)) < len(own) or not set(own) <= set(numbers):
        raise ValueError(
            f"{FLAGS.study_rows}, row {row.name!r}: {flag} must be among "
            f"--{flag}={','.join(map(str, numbers))}, each once, got "
            f"{list(own)}."
        )


def _cascade_plans(budgets: list[int]) -> Iterator[CascadePlan]:
    if not FLAGS.cascade_rows:
        return
    require("cascade_means", "calibration_data_pattern")
    if FLAGS.cascade_budgets is not None:
        budgets = _each_once("cascade_budgets")
    for row in FLAGS.cascade_rows:
        for mean in FLAGS.cascade_means:
            yield CascadePlan(
                row, tuple(budgets), mean, FLAGS.calibration_data_pattern
            )


def _teacher_unit(seed: int) -> Unit:
    """Returns the training of one teacher."""
    with _flags(shlex.split(FLAGS.teacher_flags)):
        settings = _with_seed(run_settings("teacher"), seed)
    budget = settings.network("student").budget
    return Unit(
        TEACHER,
        None,
        seed,
        unit_directory(FLAGS.study_dir, TEACHER, None, seed),
        (settings,),
        {budget.width(settings.data.max_frames): budget},
        FLAGS.eval_data_pattern,
    )


def _row_units(
    row: Row, budgets: Sequence[int], seed: int, teachers: tuple[Unit, ...]
) -> Iterator[Unit]:
    """Yields a row's trainings of one seed: one a budget, or one for all."""
    for budget in [max(budgets)] if row.for_all else budgets:
        directory = unit_directory(FLAGS.study_dir, row.name, budget, seed)
        try:
            stages = _stages(row, budget, seed, directory, teachers)
            trained = stages[-1].network("student").budget
            scored = trained.at_evaluation()
            if row.evaluation_selection:
                scored = FrameBudget(
                    row.evaluation_selection, num_frames=budget
                )
        except ValueError as error:
            raise ValueError(
                f"{FLAGS.study_rows}, row {row.name!r} at {budget} frames: "
                f"{error}"
            ) from error
        yield Unit(
            row.name,
            trained.num_frames,
            seed,
            directory,
            stages,
            {
                k: dataclasses.replace(scored, num_frames=k)
                for k in (budgets if row.for_all else [budget])
            },
            FLAGS.eval_data_pattern,
        )


def _stages(
    row: Row,
    budget: int,
    seed: int,
    directory: Path,
    teachers: tuple[Unit, ...],
) -> tuple[RunSettings, ...]:
    """Returns the settings of a row's trainings, one after another."""
    stages: list[RunSettings] = []
    given = {"frame_budget": budget}
    for index, stage in enumerate(row.stages):
        given |= {**stage, **row.at.get(budget, {})}
        with _flags(write_flags(given)):
            if index:
                checkpoint = stage_checkpoint(directory, index - 1)
                FLAGS["student_checkpoint"].value = str(checkpoint)
                settings = finetuning_settings(stages[-1])
            else:
                settings = _first_stage(row, teachers)
        stages.append(_with_seed(settings, seed))
    return tuple(stages)


def _first_stage(row: Row, teachers: tuple[Unit, ...]) -> RunSettings:
    number = len(teachers) if row.num_teachers is None else row.num_teachers
    if not 0 < number <= len(teachers):
        raise ValueError(
            f"num_teachers must be from 1 to {len(teachers)}, the number of "
            f"--teacher_seeds, got {number}."
        )
    if FLAGS.regime == "mimic":
        number = 1
    FLAGS["teacher_checkpoints"].value = tuple(
        str(teacher.checkpoint) for teacher in teachers[:number]
    )
    return run_settings(FLAGS.regime)


@contextlib.contextmanager
def _flags(given: list[str]) -> Iterator[None]:
    """Sets flags for the time of the body."""
    with flagsaver.flagsaver():
        rest = parse_flags(["study", *given])[1:]
        if rest:
            raise ValueError(f"not a flag: {rest[0]!r}")
        yield


def _with_seed(settings: RunSettings, seed: int) -> RunSettings:
    training = dataclasses.replace(settings.training, seed=seed)
    return dataclasses.replace(settings, training=training)

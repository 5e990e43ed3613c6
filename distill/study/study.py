"""A whole study: runs the units that are left and writes the report."""

import time
from collections.abc import Sized

import rich.console
import rich.progress
import tensorflow as tf

from distill.reporting.console import print_table, spinner
from distill.study.plan import Study, Unit
from distill.study.progress import Estimate, format_seconds
from distill.study.report import write_report
from distill.study.results import gather_results
from distill.study.runner import run_unit, write_json
from distill.study.stage_timer import StageTimer
from distill.system.directory_lock import DirectoryLock
from distill.system.signals import catch_signals


def show_plan(study: Study) -> None:
    """Prints the grid with the estimated time of the units that are left.

    The estimate times some steps of each kind of training that is left.
    """
    estimate = _estimate(study)
    todo = {id(unit) for unit in estimate.todo}
    units = (*study.teachers, *study.units)
    rows = [
        (
            unit.title,
            str(len(unit.stages)),
            ", ".join(budget.name for budget in unit.evaluations.values()),
            format_seconds(estimate.seconds(unit))
            if id(unit) in todo
            else "done",
        )
        for unit in units
    ]
    titles = ("training", "stages", "scored with", "estimated")
    print_table(titles, rows, left=range(len(titles)))
    print(
        f"{len(units)} trainings, {len(units) - len(todo)} done; the others "
        f"take about {format_seconds(estimate.seconds_left())}"
    )


def _estimate(study: Study, caught: Sized = ()) -> Estimate:
    """Estimates the time of the units that are left, and prints its parts."""
    # A study traces many networks, and TensorFlow would warn of each.
    tf.get_logger().setLevel("ERROR")
    estimate = Estimate(study)
    begin = time.perf_counter()
    with (
        spinner("timing some steps of each kind of training"),
        StageTimer(estimate.teachers) as timer,
    ):
        number = estimate.measure(timer, caught)
    if caught or not estimate.todo:
        return estimate
    rows = []
    for kind in estimate.by_kind():
        parts = kind.parts or (None, None, None)
        times = [
            "as done" if part is None else format_seconds(part)
            for part in parts
        ]
        rows.append(
            (
                kind.title,
                str(kind.num_trainings),
                *times,
                format_seconds(kind.seconds),
            )
        )
    titles = ("kind", "trainings", "starts", "steps", "scoring", "together")
    print_table(titles, rows)
    if number:
        print(
            f"timed some steps of {number} kinds of training, in "
            f"{format_seconds(time.perf_counter() - begin)}"
        )
    return estimate


def run_study(study: Study, max_runs: int | None = None) -> bool:
    """Runs at most `max_runs` trainings of a study and writes its report.

    Finished trainings with the same settings are skipped; a stopped one goes
    on from its last checkpoint. The directory then holds `results.json`,
    `report.md` and `report.html`.

    Args:
      study: The grid: for each `Unit` the settings of its trainings and the
        frames with which it is scored.
      max_runs: The most trainings of this call; None for all that are left.

    Raises:
      ValueError: The settings of a training do not fit one another or the
        files, or another process runs the study.

    Returns:
      False if a signal (Ctrl-C, SIGTERM) stopped the study.
    """
    with DirectoryLock(study.directory), catch_signals() as caught:
        is_whole = _run_units(study, max_runs, caught)
        if not is_whole:
            print("stopped by a signal; run the same command to go on")
        results = gather_results(study)
        write_json(study.directory / "results.json", results)
        write_report(results, study.directory)
    print(f"wrote {study.directory}/report.md and report.html")
    return is_whole


def _run_units(study: Study, max_runs: int | None, caught: Sized) -> bool:
    """Runs at most `max_runs` of the units left; False after a signal."""
    estimate = _estimate(study, caught)
    total = len(study.teachers) + len(study.units)
    console = rich.console.Console(highlight=False, soft_wrap=True)
    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("study", total=total)
        for unit in estimate.todo[:max_runs]:
            done = total - len(estimate.todo)
            bar.update(task, completed=done, description=unit.title)
            result = None if caught else run_unit(unit, console.print)
            if result is None:
                return False
            estimate.finish(unit, result)
            left = format_seconds(estimate.seconds_left())
            console.print(
                f"[{done + 1}/{total}] {unit.title}: "
                f"{_describe(unit, result)}; {left} to go",
                markup=False,
            )
    return not caught


def _describe(unit: Unit, result: dict) -> str:
    parts = []
    for k, scores in result["scores"].items():
        at = f"k={k} " if len(unit.evaluations) > 1 else ""
        parts.append(
            f"{at}GAP {scores['gap']:.4f} mAP "
            f"{scores['mean_average_precision']:.4f}"
        )
    if result["seconds"]:
        parts.append(format_seconds(result["seconds"]))
    return ", ".join(parts)

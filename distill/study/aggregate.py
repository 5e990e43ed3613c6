"""A study's results over seeds: means, deviations, gains over the baseline."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

METRICS = ("gap", "mean_average_precision", "hit_at_one", "perr", "loss")
# The metrics compared with the baseline, and their names in a report.
COMPARED_METRICS = {"gap": "GAP", "mean_average_precision": "mAP"}
# The most rows that plots show in colour, with the baseline.
MOST_HIGHLIGHTS = 6
_CASCADE_COSTS = (
    *("frames_needed", "mean_frames", "macs", "milliseconds"),
    *("whole_macs", "whole_milliseconds"),
)


@dataclasses.dataclass(frozen=True)
class Statistic:
    """Mean and sample deviation over seeds; None where seeds are too few."""

    num_seeds: int
    mean: float | None
    deviation: float | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A row at a budget against its baseline at the same budget.

    Attributes:
      gain: The row's mean minus the baseline's; None without runs of both.
      share: The gain divided by the teacher's gain: 0 at the baseline, 1 at
        the teacher; None if the teacher is not better than the baseline.
      seed_gains: Gains of the seeds that both rows have.
      seed_shares: Shares of these seeds. They all use the teacher's mean,
        because students of all seeds learn from the same teachers.
    """

    gain: float | None
    share: float | None
    seed_gains: Statistic
    seed_shares: Statistic


@dataclasses.dataclass(frozen=True)
class Cell:
    """A row at a budget, by metric; `cost` is None if not measured.

    `averages` says that means of frames are classified, not frames.
    """

    scores: Mapping[str, Statistic]
    against_baseline: Mapping[str, Comparison]
    cost: Mapping[str, Any] | None
    averages: bool

    @property
    def rank(self) -> float:
        """The mean GAP; -inf without a run."""
        mean = self.scores["gap"].mean
        return -math.inf if mean is None else mean


@dataclasses.dataclass(frozen=True)
class RowSummary:
    """A method of the study; `cells` are its results by budget.

    `trained_frames` is the number of frames of its one training for several
    budgets; None if there is a training for each budget.
    """

    name: str
    flags: str
    baseline: str
    trained_frames: int | None
    seconds: Statistic
    cells: Mapping[int, Cell]

    def name_baseline(self, usual: str) -> "RowSummary":
        """Returns it with an unusual baseline in its name."""
        over = "" if self.baseline == usual else f", over {self.baseline}"
        return dataclasses.replace(self, name=self.name + over)


@dataclasses.dataclass(frozen=True)
class CascadeSummary:
    """A cascade: few frames for most videos, more for the doubtful ones.

    Attributes:
      row: The row of its student.
      wanted_mean_frames: The mean frames a video of its calibration.
      shares: Mean share of the videos that stop at a number of frames, by it.
      values: Statistics of `COMPARED_METRICS` and of a video's mean cost:
        `frames_needed`, `mean_frames` seen, `macs`, and `milliseconds` in
        batches of 64; `whole_macs` and `whole_milliseconds` with extraction.
    """

    row: str
    wanted_mean_frames: float
    shares: Mapping[int, float]
    values: Mapping[str, Statistic]


@dataclasses.dataclass(frozen=True)
class StudySummary:
    """The content of a study's report and plots.

    `budgets` are the columns, `rows` the methods, `baseline` the name of the
    row without a teacher; `teacher` holds the teacher's statistics by metric.
    There is a score per row, budget and seed. `highlights` are the names of
    the rows that plots show in colour, the baseline first.
    """

    budgets: tuple[int, ...]
    seeds: tuple[int, ...]
    baseline: str
    teacher: Mapping[str, Statistic]
    teacher_cost: Mapping[str, Any] | None
    rows: tuple[RowSummary, ...]
    cascades: tuple[CascadeSummary, ...]
    num_scores: int
    num_wanted_scores: int
    highlights: tuple[str, ...]

    @property
    def families(self) -> set[bool]:
        """The `averages` of all cells that have a score."""
        return {
            cell.averages
            for row in self.rows
            for cell in row.cells.values()
            if cell.scores["gap"].num_seeds
        }

    def networks(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields names and costs of the teacher and of every student.

        Students with equal costs are yielded as one.
        """
        if self.teacher_cost:
            yield "Teacher", self.teacher_cost
        for k in self.budgets:
            names: dict[tuple, list[str]] = {}
            for row in self.rows:
                if cost := row.cells[k].cost:
                    names.setdefault(tuple(cost.items()), []).append(row.name)
            for costs, (first, *others) in names.items():
                more = f" and {len(others)} more" if others else ""
                yield f"{first}{more}, k={k}", dict(costs)


def summarize(values: Iterable[float | None]) -> Statistic:
    """Returns mean and deviation of the values that are finite numbers."""
    found = [v for v in values if v is not None and math.isfinite(v)]
    return Statistic(
        len(found),
        float(np.mean(found)) if found else None,
        float(np.std(found, ddof=1)) if len(found) > 1 else None,
    )


def summarize_study(results: Mapping[str, Any]) -> StudySummary:
    """Returns the summary of `results.gather_results`.

    Runs and costs may be missing, rows may not.
    """
    rows = {row["name"]: row for row in results["rows"]}
    budgets = tuple(results["budgets"])
    teacher = _scores(results["teacher"]["runs"])
    summaries = tuple(
        _summarize_row(row, rows[row["baseline"]], teacher, budgets)
        for row in rows.values()
    )
    return StudySummary(
        budgets=budgets,
        seeds=tuple(results["seeds"]),
        baseline=results["baseline"],
        teacher=teacher,
        teacher_cost=results["teacher"]["cost"],
        rows=summaries,
        cascades=tuple(map(_summarize_cascade, results["cascades"])),
        num_scores=sum(
            cell.scores["gap"].num_seeds
            for row in summaries
            for cell in row.cells.values()
        ),
        num_wanted_scores=sum(row["num_wanted"] for row in rows.values()),
        highlights=_choose_highlights(results, summaries, budgets),
    )


def _choose_highlights(
    results: Mapping[str, Any],
    rows: Iterable[RowSummary],
    budgets: Iterable[int],
) -> tuple[str, ...]:
    """Returns the baseline and the rows that the study's file highlights.

    If it highlights none: the best row by GAP of each budget, then the best
    by their mean over the budgets, up to `MOST_HIGHLIGHTS`.
    """
    # Results of earlier versions have no such mark.
    chosen = [row["name"] for row in results["rows"] if row.get("highlight")]
    if chosen:
        return tuple(dict.fromkeys([results["baseline"], *chosen]))
    rows, budgets = list(rows), list(budgets)
    best = [max(rows, key=lambda row: row.cells[k].rank) for k in budgets]
    best += sorted(
        rows,
        key=lambda row: sum(row.cells[k].rank for k in budgets),
        reverse=True,
    )
    names = dict.fromkeys([results["baseline"], *(row.name for row in best)])
    return tuple(names)[:MOST_HIGHLIGHTS]


def _scores(runs: Iterable[Mapping[str, Any]]) -> dict[str, Statistic]:
    runs = list(runs)
    return {
        metric: summarize(run.get(metric) for run in runs) for metric in METRICS
    }


def _summarize_row(
    row: Mapping[str, Any],
    baseline: Mapping[str, Any],
    teacher: Mapping[str, Statistic],
    budgets: Iterable[int],
) -> RowSummary:
    trained = {run["trained_k"] for run in row["runs"]}
    is_shared = len(trained) == 1 and any(
        run["k"] != run["trained_k"] for run in row["runs"]
    )
    seconds = {
        (run["trained_k"], run["seed"]): run["seconds"] for run in row["runs"]
    }
    return RowSummary(
        name=row["name"],
        flags=row["flags"],
        baseline=baseline["name"],
        trained_frames=trained.pop() if is_shared else None,
        seconds=summarize(seconds.values()),
        cells={
            k: Cell(
                _scores(run for run in row["runs"] if run["k"] == k),
                {
                    metric: _compare(
                        _by_seed(row, k, metric),
                        _by_seed(baseline, k, metric),
                        teacher[metric].mean,
                    )
                    for metric in COMPARED_METRICS
                },
                row["costs"].get(str(k)),
                # Results of earlier versions are of frames alone.
                row.get("averages", {}).get(str(k), False),
            )
            for k in budgets
        },
    )


def _by_seed(row: Mapping[str, Any], k: int, metric: str) -> dict[int, float]:
    runs = ((run["seed"], run[metric]) for run in row["runs"] if run["k"] == k)
    return {seed: score for seed, score in runs if math.isfinite(score)}


def _compare(
    row: Mapping[int, float],
    baseline: Mapping[int, float],
    teacher: float | None,
) -> Comparison:
    seeds = sorted(row.keys() & baseline.keys())
    seed_gains = [row[seed] - baseline[seed] for seed in seeds]
    seed_shares = [
        _share(gain, baseline[seed], teacher)
        for gain, seed in zip(seed_gains, seeds, strict=True)
    ]
    gain = share = None
    if row and baseline:
        mean = float(np.mean(list(baseline.values())))
        gain = float(np.mean(list(row.values()))) - mean
        share = _share(gain, mean, teacher)
    return Comparison(
        gain,
        share,
        summarize(seed_gains),
        # Without the seeds of a strong baseline the mean would be too good.
        summarize([] if None in seed_shares else seed_shares),
    )


def _share(gain: float, baseline: float, teacher: float | None) -> float | None:
    if teacher is None or teacher <= baseline:
        return None
    return gain / (teacher - baseline)


def _summarize_cascade(cascade: Mapping[str, Any]) -> CascadeSummary:
    runs = cascade["runs"]
    budgets = runs[0]["budgets"] if runs else ()
    return CascadeSummary(
        row=cascade["row"],
        wanted_mean_frames=cascade["wanted_mean_frames"],
        shares={
            k: float(np.mean([run["shares"][stage] for run in runs]))
            for stage, k in enumerate(budgets)
        },
        values={
            name: summarize(run.get(name) for run in runs)
            for name in (*COMPARED_METRICS, *_CASCADE_COSTS)
        },
    )

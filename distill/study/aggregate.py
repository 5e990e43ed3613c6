"""What a study's runs come to: means, spreads and gains over the baseline."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from distill.study.statistic import Statistic, is_number, summarize

METRICS = ("gap", "mean_average_precision", "hit_at_one", "perr", "loss")
# Those that are held against the baseline, with their names in a report.
COMPARED_METRICS = {"gap": "GAP", "mean_average_precision": "mAP"}
_CASCADE_COSTS = ("mean_frames", "macs", "milliseconds")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A row at a budget against the baseline at the same budget.

    Each is None, or without seeds, where a part of it is missing; the shares
    too where the teacher is no better than the baseline.

    Attributes:
      gain: The row's mean less the baseline's.
      share: The gain over what the teacher's mean is above the baseline's: 0
        at the baseline, 1 at the teacher.
      seed_gains: Gains of the seeds that row and baseline both have.
      seed_shares: Shares of those seeds, with the teacher's mean: the
        students of all seeds learn from the same teachers.
    """

    gain: float | None
    share: float | None
    seed_gains: Statistic
    seed_shares: Statistic


@dataclasses.dataclass(frozen=True)
class Cell:
    """A row at a budget.

    Attributes:
      scores: Of each of `METRICS`, over seeds.
      against_baseline: Of each of `COMPARED_METRICS`.
      cost: Dict of the network's costs at the budget; None if not measured.
    """

    scores: Mapping[str, Statistic]
    against_baseline: Mapping[str, Comparison]
    cost: Mapping[str, Any] | None

    @property
    def rank(self) -> float:
        """Its mean GAP; -inf without a run."""
        mean = self.scores["gap"].mean
        return -math.inf if mean is None else mean


@dataclasses.dataclass(frozen=True)
class RowSummary:
    """A method of the study.

    Attributes:
      name: Its name.
      flags: The flags that make it.
      baseline: The row that it is held against.
      trained_frames: The one number of frames on which it was trained for
        several budgets; None if it was trained for each.
      seconds: Of its trainings.
      cells: What it reached, by budget.
    """

    name: str
    flags: str
    baseline: str
    trained_frames: int | None
    seconds: Statistic
    cells: Mapping[int, Cell]

    def name_baseline(self, usual: str) -> "RowSummary":
        """Returns it with its baseline in its name, unless that is usual."""
        if self.baseline == usual:
            return self
        name = f"{self.name}, over {self.baseline}"
        return dataclasses.replace(self, name=name)


@dataclasses.dataclass(frozen=True)
class CascadeSummary:
    """A cascade: few frames for most videos, more for the doubtful ones.

    Attributes:
      row: The row whose student it runs.
      wanted_mean_frames: The frames a video for which it was calibrated.
      shares: Share of the videos, by the frames at which they stop; the mean
        over seeds.
      values: Over seeds, `COMPARED_METRICS` and what a video takes on average:
        `mean_frames`, `macs`, and `milliseconds` in batches of 64.
    """

    row: str
    wanted_mean_frames: float
    shares: Mapping[int, float]
    values: Mapping[str, Statistic]


@dataclasses.dataclass(frozen=True)
class StudySummary:
    """What report and plots show of a study.

    Attributes:
      budgets: Numbers of frames, the columns.
      seeds: The seeds that every row is to have.
      baseline: Name of the row without a teacher.
      teacher: The teacher's score of each of `METRICS`, over its seeds.
      teacher_cost: Dict of its costs; None if not measured.
      rows: The methods.
      cascades: The cascades.
      num_scores: How many scores there are of a row, a budget and a seed.
      num_wanted_scores: How many there are in a complete study.
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

    def networks(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields names and costs of the teacher and of every student.

        Students that see as many frames and cost the same come as one.
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


def summarize_study(results: Mapping[str, Any]) -> StudySummary:
    """Returns what the runs of a study come to.

    Args:
      results: What `results.gather_results` returns; runs, costs and the
        teacher's runs may be missing, rows not.

    Raises:
      ValueError: The baseline is none of the rows.
    """
    rows = results["rows"]
    by_name = {row["name"]: row for row in rows}
    for row in (results, *rows):
        if row.get("baseline", results["baseline"]) not in by_name:
            raise ValueError(
                f"baseline: {row['baseline']!r} is none of the rows "
                f"{list(by_name)}."
            )
    budgets, seeds = tuple(results["budgets"]), tuple(results["seeds"])
    teacher = _scores(results["teacher"]["runs"])
    summaries = tuple(
        _summarize_row(
            row,
            by_name[row.get("baseline", results["baseline"])],
            teacher,
            budgets,
        )
        for row in rows
    )
    all_seeds = len(budgets) * len(seeds)
    return StudySummary(
        budgets=budgets,
        seeds=seeds,
        baseline=results["baseline"],
        teacher=teacher,
        teacher_cost=results["teacher"].get("cost"),
        rows=summaries,
        cascades=tuple(map(_summarize_cascade, results.get("cascades", ()))),
        num_scores=sum(
            cell.scores["gap"].num_seeds
            for row in summaries
            for cell in row.cells.values()
        ),
        num_wanted_scores=sum(row.get("num_wanted", all_seeds) for row in rows),
    )


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
    cells = {
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
        )
        for k in budgets
    }
    trainings = {
        (run["trained_k"], run["seed"]): run.get("seconds")
        for run in row["runs"]
    }
    return RowSummary(
        name=row["name"],
        flags=row["flags"],
        baseline=baseline["name"],
        trained_frames=trained.pop() if is_shared else None,
        seconds=summarize(trainings.values()),
        cells=cells,
    )


def _by_seed(row: Mapping[str, Any], k: int, metric: str) -> dict[int, float]:
    return {
        run["seed"]: run[metric]
        for run in row["runs"]
        if run["k"] == k and is_number(run.get(metric))
    }


def _compare(
    row: Mapping[int, float],
    baseline: Mapping[int, float],
    teacher: float | None,
) -> Comparison:
    """Compares scores by seed with the baseline's and the teacher's mean."""
    seeds = sorted(row.keys() & baseline.keys())
    gains = [row[seed] - baseline[seed] for seed in seeds]
    shares = [
        _share(gain, baseline[seed], teacher)
        for gain, seed in zip(gains, seeds, strict=True)
    ]
    # A seed left out for its baseline would make the others' mean look good.
    seed_shares = summarize([] if None in shares else shares)
    if not (row and baseline):
        return Comparison(None, None, summarize(gains), seed_shares)
    mean = float(np.mean(list(baseline.values())))
    gain = float(np.mean(list(row.values()))) - mean
    share = _share(gain, mean, teacher)
    return Comparison(gain, share, summarize(gains), seed_shares)


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

"""What a study has found so far, gathered from its units' results."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from distill.reporting.machine import describe_machine
from distill.settings.run import RunSettings
from distill.study.cascades import gather_cascade
from distill.study.costs import measure_cost
from distill.study.plan import Study, Unit
from distill.study.runner import read_result
from distill.system.atomic_files import replace_atomically

_METRICS = (
    "gap",
    "mean_average_precision",
    "hit_at_one",
    "perr",
    "loss",
)


def gather_results(study: Study) -> dict[str, Any]:
    """Returns what report and plots show; see `distill.study.report`.

    The costs are measured here and kept in `costs.json` of the study's
    directory, where a later call finds them.
    """
    costs = _Costs(study.directory / "costs.json")
    settings = study.teachers[0].stages[-1]
    results = {
        "command": study.command,
        "machine": describe_machine(),
        "data": _describe_data(study, settings),
        "budgets": list(study.budgets),
        "seeds": sorted({unit.seed for unit in study.units}),
        "baseline": study.baseline,
        "teacher": _gather_teacher(study, costs),
        "rows": [_gather_row(study, row, costs) for row in study.rows],
        "cascades": [gather_cascade(plan, study) for plan in study.cascades],
    }
    costs.write()
    return results


def write_results(results: dict[str, Any], directory: Path) -> None:
    """Writes `results.json`, whole or not at all."""
    with replace_atomically(directory / "results.json") as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n")


class _Costs:
    """Costs of networks at budgets, measured once."""

    def __init__(self, path: Path):
        self._path = path
        self._costs = json.loads(path.read_text()) if path.exists() else {}

    def measure(self, unit: Unit, k: int) -> dict[str, Any]:
        settings, budget = unit.stages[-1], unit.evaluations[k]
        # Not what it was trained on, but what it is and sees.
        frames = settings.student.budget.width(settings.data.max_frames)
        network = dataclasses.replace(settings.student, budget=budget)
        key = repr((network, frames, settings.data))
        if key not in self._costs:
            self._costs[key] = measure_cost(
                settings.student, settings.data, budget
            )
        return self._costs[key]

    def write(self) -> None:
        with replace_atomically(self._path) as temporary:
            temporary.write_text(json.dumps(self._costs, indent=1) + "\n")


def _describe_data(study: Study, settings: RunSettings) -> dict[str, Any]:
    results = (read_result(unit) for unit in (*study.teachers, *study.units))
    counts = [
        scores["num_videos"]
        for result in results
        if result
        for scores in result["scores"].values()
    ]
    models = sorted({u.stages[-1].student.model for u in study.units})
    return {
        "train_data_pattern": settings.training.train_data_pattern,
        "eval_data_pattern": study.teachers[0].eval_data_pattern,
        "num_eval_videos": counts[0] if counts else None,
        "max_frames": settings.data.max_frames,
        "num_features": settings.data.num_features,
        "num_classes": settings.data.num_classes,
        "teacher_model": settings.student.model,
        "student_model": ", ".join(models),
    }


def _runs(units: list[Unit]) -> list[dict[str, Any]]:
    """Returns the scores of units that are done, one entry a budget."""
    runs = []
    for unit in units:
        result = read_result(unit)
        for k, scores in (result["scores"] if result else {}).items():
            runs.append(
                {
                    "k": int(k),
                    "trained_k": unit.budget,
                    "seed": unit.seed,
                    "seconds": result["seconds"],
                }
                | {name: scores[name] for name in _METRICS}
            )
    return runs


def _gather_teacher(study: Study, costs: _Costs) -> dict[str, Any]:
    first = study.teachers[0]
    (frames,) = first.evaluations
    return {
        "runs": _runs(list(study.teachers)),
        "cost": costs.measure(first, frames),
    }


def _gather_row(study: Study, row: str, costs: _Costs) -> dict[str, Any]:
    units = [unit for unit in study.units if unit.row == row]
    measured = {}
    for unit in units:
        for k in unit.evaluations:
            measured[str(k)] = costs.measure(unit, k)
    return {
        "name": row,
        "flags": study.flags.get(row, ""),
        "baseline": study.own_baselines.get(row, study.baseline),
        "num_wanted": sum(len(unit.evaluations) for unit in units),
        "runs": _runs(units),
        "costs": measured,
    }

"""A study's results so far, gathered from its units."""

from collections.abc import Sequence
from typing import Any

from distill.reporting.machine import describe_machine
from distill.study.aggregate import METRICS
from distill.study.cascades import gather_cascade
from distill.study.costs import Costs
from distill.study.plan import Study, Unit
from distill.study.runner import read_result, write_json
from distill.study.whole_cost import FRAME_COST


def gather_results(study: Study) -> dict[str, Any]:
    """Returns the content of `distill.study.report`.

    Costs are measured here and kept in `costs.json` of the study's directory
    for later calls.
    """
    costs = Costs(study.directory / "costs.json")
    first = study.teachers[0]
    (frames,) = first.evaluations
    rows = dict.fromkeys(unit.row for unit in study.units)
    results = {
        "command": study.command,
        "machine": describe_machine(),
        "data": _describe_data(study),
        "budgets": list(study.budgets),
        "seeds": sorted({unit.seed for unit in study.units}),
        "baseline": study.baseline,
        "teacher": {
            "runs": _runs(study.teachers),
            "cost": costs.measure(first, frames),
        },
        "rows": [_gather_row(study, row, costs) for row in rows],
        "cascades": [gather_cascade(plan, study) for plan in study.cascades],
    }
    write_json(study.directory / "costs.json", costs.all)
    if given := study.frame_cost.given():
        results[FRAME_COST] = given
    return results


def _describe_data(study: Study) -> dict[str, Any]:
    settings = study.teachers[0].stages[-1]
    results = map(read_result, (*study.teachers, *study.units))
    counts = (
        scores["num_videos"]
        for result in results
        if result
        for scores in result["scores"].values()
    )
    models = sorted({u.student.model for u in study.units})
    return {
        "train_data_pattern": settings.training.train_data_pattern,
        "eval_data_pattern": study.teachers[0].eval_data_pattern,
        "num_eval_videos": next(counts, None),
        "max_frames": settings.data.max_frames,
        "num_features": settings.data.num_features,
        "num_classes": settings.data.num_classes,
        "teacher_model": study.teachers[0].student.model,
        "student_model": ", ".join(models),
    }


def _runs(units: Sequence[Unit]) -> list[dict[str, Any]]:
    return [
        {
            "k": int(k),
            "trained_k": unit.budget,
            "seed": unit.seed,
            "seconds": result["seconds"],
        }
        | {name: scores[name] for name in METRICS}
        for unit in units
        if (result := read_result(unit))
        for k, scores in result["scores"].items()
    ]


def _gather_row(study: Study, row: str, costs: Costs) -> dict[str, Any]:
    units = [unit for unit in study.units if unit.row == row]
    return {
        "name": row,
        "flags": study.flags[row],
        "baseline": study.own_baselines.get(row, study.baseline),
        "highlight": row in study.highlights,
        "num_wanted": sum(len(unit.evaluations) for unit in units),
        "runs": _runs(units),
        "costs": {
            str(k): costs.measure(unit, k)
            for unit in units
            for k in unit.evaluations
        },
        "averages": {
            str(k): budget.averages
            for unit in units
            for k, budget in unit.evaluations.items()
        },
    }

"""Whether a plot over a cost would tell a study's frame budgets apart."""

from collections.abc import Mapping
from typing import Any

from distill.study.aggregate import StudySummary

# Names of the measured times, and their axes.
LATENCIES = {
    "milliseconds_at_64": "milliseconds a video, batch 64",
    "milliseconds_at_1": "milliseconds a video, batch 1",
}
# A time of which a call is this share or more is that of the call.
_MOST_CALL = 0.5
# Students whose MACs grow by less than this factor cost the same.
_LEAST_GROWTH = 1.05


def find_flaw(summary: StudySummary, cost: str) -> str | None:
    """Returns why a plot over a cost would mislead, or None.

    A plot over frames never does. The others do if the students cost the same
    at the fewest and at the most frames, and those over times if a call that
    computes nothing takes most of every student's time. Times are the same if
    they overlap: each reaches from quartile to quartile, where these were
    measured, and networks of one number of parameters that all classify
    frames, or all means, count as one network that was measured several times.
    """
    students = [
        {"k": k, "averages": cell.averages} | dict(cell.cost)
        for row in summary.rows
        for k, cell in row.cells.items()
        if cell.cost and cell.cost.get(cost)
    ]
    calls = [
        each[f"call_{cost}"] / each[cost]
        for each in students
        if each.get(f"call_{cost}")
    ]
    if calls and min(calls) >= _MOST_CALL:
        return f"a call that computes nothing takes {min(calls):.0%} of it"
    by_kind: dict[tuple[int, bool], list[dict[str, Any]]] = {}
    for each in students:
        kind = each["parameters"], each["averages"]
        by_kind.setdefault(kind, []).append(each)
    groups = [g for g in by_kind.values() if len({c["k"] for c in g}) > 1]
    if groups and not any(_grows(group, cost) for group in groups):
        budgets = [each["k"] for group in groups for each in group]
        verb = "overlap" if cost in LATENCIES else "are nearly equal"
        return f"those at {min(budgets)} and {max(budgets)} frames {verb}"
    return None


def has_spread(summary: StudySummary, cost: str) -> bool:
    """Returns whether the quartiles of a time were measured."""
    costs = (cell.cost for row in summary.rows for cell in row.cells.values())
    return any(each and each.get(f"{cost}_low") for each in costs)


def _grows(costs: list[dict[str, Any]], cost: str) -> bool:
    """Returns whether the most frames cost more than the fewest."""
    fewest, *_, most = sorted(each["k"] for each in costs)
    least = min(_bound(c, cost, "low") for c in costs if c["k"] == most)
    greatest = max(_bound(c, cost, "high") for c in costs if c["k"] == fewest)
    return least > greatest * (1 if cost in LATENCIES else _LEAST_GROWTH)


def _bound(cost: Mapping[str, Any], name: str, end: str) -> float:
    return cost.get(f"{name}_{end}") or cost[name]

"""The benchmark's table, and the same as JSON."""

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rich.console
import rich.table

from distill.reporting.machine import describe_machine
from distill.system.atomic_files import replace_atomically
from tools.benchmark.suite import Plan
from tools.benchmark.timing import Row


def print_report(rows: Sequence[Row], plan: Plan) -> None:
    """Prints what was run where, and the table."""
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    print(f"medians of {plan.repeats} interleaved repetitions")
    table = rich.table.Table()
    for title in ("part", "work", "unit"):
        table.add_column(title)
    for title in (
        "ours",
        "baseline",
        "floor",
        "ours / baseline",
        "ours / floor",
        "baseline / floor",
    ):
        table.add_column(title, justify="right")
    table.add_column("target")
    table.add_column("baseline is")
    for row in rows:
        table.add_row(
            row.part,
            row.name,
            row.unit,
            *map(_in_digits, (row.figure, row.baseline, row.floor)),
            *map(
                _in_digits,
                (row.over_baseline, row.over_floor, row.baseline_over_floor),
            ),
            row.target,
            row.baseline_name,
        )
    width = None if sys.stdout.isatty() else 170
    rich.console.Console(highlight=False, width=width).print(table)


def write_report(path: str, rows: Sequence[Row], plan: Plan) -> None:
    """Writes machine, date, sizes and rows as JSON, whole or not at all."""
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "plan": dataclasses.asdict(plan),
        "rows": [
            dataclasses.asdict(row)
            | {
                "over_baseline": row.over_baseline,
                "over_floor": row.over_floor,
                "baseline_over_floor": row.baseline_over_floor,
            }
            for row in rows
        ],
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n")
    print(f"wrote {path}")


def _in_digits(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

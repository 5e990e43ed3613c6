"""The benchmark's rows: their table and their JSON file."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from distill.reporting.console import print_table
from distill.reporting.machine import describe_machine
from distill.system.atomic_files import replace_atomically

_TABLE_WIDTH = 170


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the benchmark's table.

    Attributes:
      part: The part of the benchmark: `train`, `forward`, `read` ...
      name: The work that was timed.
      unit: Unit of the figures.
      figure: The toolkit's figure.
      baseline: The figure that it is compared with, from the same run.
      baseline_name: What the baseline is.
      floor: The machine's limit in the same run; None without a limit.
      target: The ratio aimed at, in words; empty for none.
      details: Further figures of the same work, for the file.
    """

    part: str
    name: str
    unit: str
    figure: float
    baseline: float
    baseline_name: str
    floor: float | None = None
    target: str = ""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def over_baseline(self) -> float:
        """The figure over the baseline."""
        return self.figure / self.baseline

    @property
    def over_floor(self) -> float | None:
        """The figure over the floor."""
        return None if self.floor is None else self.figure / self.floor

    @property
    def baseline_over_floor(self) -> float | None:
        """The baseline over the floor."""
        return None if self.floor is None else self.baseline / self.floor

    def to_json(self) -> dict[str, Any]:
        """Returns the attributes and the three ratios."""
        ratios = ("over_baseline", "over_floor", "baseline_over_floor")
        return dataclasses.asdict(self) | {
            name: getattr(self, name) for name in ratios
        }


def print_rows(rows: Sequence[Row], repeats: int) -> None:
    """Prints the machine and the table."""
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    print(f"medians of {repeats} interleaved repetitions")
    figures = {
        "ours": "figure",
        "baseline": "baseline",
        "floor": "floor",
        "ours / baseline": "over_baseline",
        "ours / floor": "over_floor",
        "baseline / floor": "baseline_over_floor",
    }
    print_table(
        ("part", "work", "unit", *figures, "target", "baseline is"),
        [
            (
                row.part,
                row.name,
                row.unit,
                *(format_figure(getattr(row, n)) for n in figures.values()),
                row.target,
                row.baseline_name,
            )
            for row in rows
        ],
        left=(0, 1, 2, 9, 10),
        width=_TABLE_WIDTH,
    )


def write_report(path: str, content: Mapping[str, Any]) -> None:
    """Writes the date, the machine and the content as one JSON file."""
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        **content,
    }
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n")
    print(f"wrote {path}")


def format_figure(value: float | None) -> str:
    """Returns three digits or whole thousands; `-` for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

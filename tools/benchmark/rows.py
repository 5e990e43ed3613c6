"""The benchmark's rows: their table and their JSON file."""

import dataclasses
import itertools
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from distill.reporting.console import print_table
from distill.reporting.machine import describe_machine
from distill.system.atomic_files import replace_atomically

_TABLE_WIDTH = 180
_TARGET = re.compile(r"(<=|>=) ([\d.]+) (?:x (floor|baseline)|\S+)")
_MET = {True: "yes", False: "no", None: ""}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the benchmark's table.

    Attributes:
      part: The part of the benchmark, one of `PARTS`.
      name: The work that was timed.
      unit: Unit of the figures.
      figure: The toolkit's figure.
      baseline: The figure that it is compared with, from the same run; None
        without one.
      baseline_name: What the baseline is.
      floor: The machine's limit in the same run; None without a limit.
      target: The ratio aimed at, in words; empty for none.
      details: Further figures of the same work, for the file.
    """

    part: str
    name: str
    unit: str
    figure: float
    baseline: float | None = None
    baseline_name: str = ""
    floor: float | None = None
    target: str = ""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def over_baseline(self) -> float | None:
        """The figure over the baseline."""
        return _ratio(self.figure, self.baseline)

    @property
    def over_floor(self) -> float | None:
        """The figure over the floor."""
        return _ratio(self.figure, self.floor)

    @property
    def baseline_over_floor(self) -> float | None:
        """The baseline over the floor."""
        return _ratio(self.baseline, self.floor)

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one.

        Raises:
          ValueError: The target is not of the form `<= 1.3 x floor`,
            `>= 2 x baseline` or `<= 10 s`.
        """
        if not self.target:
            return None
        found = _TARGET.fullmatch(self.target)
        if found is None:
            raise ValueError(f"{self.name}: the target is {self.target!r}.")
        limit, of = float(found[2]), found[3]
        value = self.over_floor if of == "floor" else self.over_baseline
        value = value if of else self.figure
        if value is None:
            return None
        return value <= limit if found[1] == "<=" else value >= limit

    def to_json(self) -> dict[str, Any]:
        """Returns the attributes, the three ratios and whether it is met."""
        found = (
            *("over_baseline", "over_floor", "baseline_over_floor"),
            "is_met",
        )
        return dataclasses.asdict(self) | {
            name: getattr(self, name) for name in found
        }


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def print_rows(rows: Sequence[Row], repeats: int, slow_repeats: int) -> None:
    """Prints the machine and the table."""
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    print(
        f"medians of {repeats} interleaved repetitions; of {slow_repeats} "
        "where a call takes seconds, of 1 where it takes more than five"
    )
    figures = {
        "ours": "figure",
        "baseline": "baseline",
        "floor": "floor",
        "/ baseline": "over_baseline",
        "/ floor": "over_floor",
    }
    titles = ("part", "work", "unit", *figures)
    cells = []
    for part, group in itertools.groupby(rows, lambda row: row.part):
        for index, row in enumerate(group):
            cells.append(
                (
                    "" if index else part,
                    row.name,
                    row.unit,
                    *(format_figure(getattr(row, n)) for n in figures.values()),
                    row.target,
                    _MET[row.is_met],
                    row.baseline_name,
                )
            )
    print_table(
        (*titles, "target", "met", "baseline is"),
        cells,
        left=(0, 1, 2, 8, 9, 10),
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

"""The rows of a study: its methods, listed in a Python file.

Such a file defines `ROWS`, here with two rows:

    from distill.study.rows import row

    ROWS = [
        row("No teacher", regime="labels"),
        row("Soft labels", regime="serial", prediction_loss="cross_entropy"),
    ]
"""

import dataclasses
import runpy
import shlex
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.study.aggregate import MOST_HIGHLIGHTS
from distill.study.plan import unit_directory
from distill.system.storage import local_copy, to_path

Flags = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """A method of the study, made by `row`, which describes its fields.

    Attributes:
      stages: The flags of each of its trainings, in order.
    """

    name: str
    stages: tuple[Flags, ...]
    at: Mapping[int, Flags]
    budgets: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None
    baseline_row: str | None = None
    num_teachers: int | None = None
    evaluation_selection: str | None = None
    highlight: bool = False

    @property
    def for_all(self) -> bool:
        """Whether one student serves all budgets."""
        return "fewest_frames" in self.stages[0]

    @property
    def text(self) -> str:
        """All that was given to `row`, as flags."""
        options = {
            field.name: value
            for field in dataclasses.fields(self)[3:]
            if field.name != "highlight"
            and (value := getattr(self, field.name)) is not None
        }
        first, *others = (write_flags(stage) for stage in self.stages)
        parts = [shlex.join(write_flags(options) + first)]
        parts += [f"then {shlex.join(stage)}" for stage in others]
        parts += [
            f"at {k}: {shlex.join(write_flags(self.at[k]))}" for k in self.at
        ]
        return "; ".join(parts)


def row(
    name: str,
    *,
    then: Flags | Sequence[Flags] = (),
    at: Mapping[int, Flags] | None = None,
    budgets: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    baseline_row: str | None = None,
    num_teachers: int | None = None,
    evaluation_selection: str | None = None,
    highlight: bool = False,
    **flags: Any,
) -> Row:
    """Returns a row of a study.

    With the flag `fewest_frames` one student is trained for all budgets.

    Args:
      name: Its name in the report.
      then: Flags of a second training, which starts from the student of the
        first and learns from labels; or a list of such, for more trainings.
      at: More flags by frame budget, as `{2: {"num_epochs": 4}}`.
      budgets: Some of the study's budgets; default: all.
      seeds: Some of the study's seeds; default: all.
      baseline_row: The row over which gains are counted; default: the study's.
      num_teachers: How many of the teachers teach, by their mean; default:
        all. (`regime="mimic"` takes the first.)
      evaluation_selection: The frame selection of the evaluation; default:
        that of the training.
      highlight: Whether plots show it in colour. If no row has it, they show
        the baseline and the best rows so.
      **flags: Flags of the training, over those of the study's flagfile.

    Raises:
      ValueError: The name is empty, or no flag has such a value.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"A row's name must be a text, got {name!r}.")
    stages = (flags, *([then] if isinstance(then, Mapping) else then))
    at = dict(at or {})
    for group in (*stages, *at.values()):
        write_flags(group)
    return Row(
        name,
        stages,
        at,
        None if budgets is None else tuple(budgets),
        None if seeds is None else tuple(seeds),
        baseline_row,
        num_teachers,
        evaluation_selection,
        highlight,
    )


def write_flags(flags: Flags) -> list[str]:
    """Returns flags as `--name=value`; ValueError for an unknown kind."""
    return [f"--{name}={_write(name, flags[name])}" for name in flags]


def _write(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_write(name, item) for item in value)
    if not isinstance(value, bool | int | float | str):
        raise ValueError(
            f"{name} must be a text, a number, a boolean or a list of these, "
            f"got {value!r}."
        )
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_rows(file: str) -> list[Row]:
    """Runs a file of rows and returns its `ROWS`.

    Raises:
      ValueError: There is no such file, it fails or defines no `ROWS`, or two
        rows would have one directory.
    """
    if not to_path(file).is_file():
        raise ValueError(f"There is no file of rows {file}.")
    program = file
    try:
        with local_copy(file) as local:
            program = str(local)
            rows = runpy.run_path(program).get("ROWS")
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == program]
        line = f", line {lines[-1]}" if lines else ""
        raise ValueError(
            f"{file}{line}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(rows, list) or not all(
        isinstance(row, Row) for row in rows or [None]
    ):
        raise ValueError(
            f"{file} must define ROWS, a list of rows made by `row(NAME, ...)`."
        )
    highlights = [row.name for row in rows if row.highlight]
    if len(highlights) > MOST_HIGHLIGHTS:
        raise ValueError(
            f"{file}: highlight is for at most {MOST_HIGHLIGHTS} rows, got "
            f"{len(highlights)}: {highlights}."
        )
    named: dict[Path, str] = {}
    for name in (row.name for row in rows):
        directory = unit_directory("", name, 0, 0)
        other = named.get(directory)
        if other == name:
            raise ValueError(f"{file}: two rows have the name {name!r}.")
        if other is not None:
            raise ValueError(
                f"{file}: the rows {other!r} and {name!r} have the same "
                "letters and digits, by which their directories are named."
            )
        named[directory] = name
    return rows

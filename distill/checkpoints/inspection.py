"""What a checkpoint holds, for people to read."""

import dataclasses
from pathlib import Path

import numpy as np

from distill.checkpoints.checkpoint import (
    stored_inputs,
    stored_progress,
    stored_settings,
)
from distill.checkpoints.file_checks import (
    list_datasets,
    open_checkpoint,
    refuse_damage,
)


@dataclasses.dataclass(frozen=True)
class VariableSummary:
    """A stored variable: its name, shape, L2 norm and extremes."""

    name: str
    shape: tuple[int, ...]
    norm: float
    least: float
    greatest: float

    @property
    def num_values(self) -> int:
        """How many numbers it holds."""
        return int(np.prod(self.shape))

    def cells(self) -> tuple[str, ...]:
        """Returns the texts of a table's row."""
        numbers = (self.norm, self.least, self.greatest)
        return (
            self.name,
            "x".join(map(str, self.shape)) or "scalar",
            f"{self.num_values:,}",
            *(f"{number:.4g}" for number in numbers),
        )


@dataclasses.dataclass(frozen=True)
class CheckpointSummary:
    """A checkpoint's settings and progress by dotted name, and variables."""

    settings: list[tuple[str, str]]
    variables: list[VariableSummary]

    def totals(self) -> dict[str, tuple[int, int]]:
        """Returns the number of variables and of values by group."""
        totals: dict[str, tuple[int, int]] = {}
        for variable in self.variables:
            group = variable.name.partition("/")[0]
            number, values = totals.get(group, (0, 0))
            totals[group] = (number + 1, values + variable.num_values)
        return totals


def describe_checkpoint(path: str | Path) -> CheckpointSummary:
    """Returns what a checkpoint holds, one variable in memory at a time.

    Raises:
      CheckpointError: The file is no checkpoint, or it is damaged.
    """
    with open_checkpoint(path) as file:
        stored = stored_settings(file).by_name()
        progress = stored_progress(file)
        inputs = stored_inputs(file)
        with refuse_damage(path):
            variables = [
                _summarise(name, dataset[()])
                for name, dataset in list_datasets(file).items()
            ]
    settings = [
        (name, str(value))
        for name, value in (stored | {"file": str(path)}).items()
        if value is not None
    ]
    settings += [
        (f"progress.{name}", str(value))
        for name, value in progress.items()
        if value is not None
    ]
    if inputs is not None:
        settings += [
            (f"inputs.{name}", text) for name, text in inputs.by_name()
        ]
    return CheckpointSummary(settings, variables)


def _summarise(name: str, values: np.ndarray) -> VariableSummary:
    wide = np.asarray(values, np.float64)
    extremes = (wide.min(), wide.max()) if wide.size else (0.0, 0.0)
    return VariableSummary(
        name, values.shape, float(np.linalg.norm(wide)), *map(float, extremes)
    )

"""How far a training run has come."""

import dataclasses
from typing import Any

from distill.system.typed_json import read_dataclass

# The most that all JSON readers read as written.
_LARGEST_COUNT = 2**53


@dataclasses.dataclass
class Progress:
    """How far a run has come.

    Attributes:
      step: Training steps made.
      examples_seen: Videos trained on, repetitions counted.
      epoch: Epochs finished.
      positions: Of every stream of the current epoch the records, or
        segments, that lie behind; empty where it has not begun.
      best_gap: Best validation GAP so far, or None.
    """

    step: int = 0
    examples_seen: int = 0
    epoch: int = 0
    positions: tuple[int, ...] = ()
    best_gap: float | None = None


def read_progress_fields(fields: dict[str, Any]) -> Progress:
    """Returns the progress of a checkpoint's JSON object, of any version.

    Raises:
      ValueError: A field is missing, unknown, of another type or cannot be.
    """
    if "step" not in fields:
        raise ValueError("the field step is missing")
    if "position" in fields:  # as it was while there was one stream
        fields = dict(fields)
        fields["positions"] = [fields.pop("position")]
    progress = read_dataclass(Progress, fields)
    counts = {
        name: getattr(progress, name)
        for name in ("step", "examples_seen", "epoch")
    } | {f"position {i}": n for i, n in enumerate(progress.positions)}
    for name, value in counts.items():
        if not 0 <= value <= _LARGEST_COUNT:
            raise ValueError(
                f"{name} must be from 0 to {_LARGEST_COUNT}, got {value}"
            )
    return progress

"""The progress of a training run."""

import dataclasses

from distill.system.small_files import parse_json_object
from distill.system.typed_json import read_dataclass

# The largest integer that all JSON readers read exactly.
_LARGEST_COUNT = 2**53


@dataclasses.dataclass
class Progress:
    """How far a run has come.

    Attributes:
      step: Training steps made.
      examples_seen: Videos trained on, repetitions counted.
      epoch: Epochs finished.
      positions: Records (or segments) already read of every stream of the
        current epoch; empty before the epoch has begun.
      best_gap: Best validation GAP so far, or None.
      best_epoch: The epoch, from 1, in which it was reached; 0 without one.
    """

    step: int = 0
    examples_seen: int = 0
    epoch: int = 0
    positions: tuple[int, ...] = ()
    best_gap: float | None = None
    best_epoch: int = 0


def parse_progress(text: str) -> Progress:
    """Returns the progress from its JSON.

    Raises:
      ValueError: The text is not a JSON object; or a field is missing,
        unknown, of another type or out of range.
    """
    fields = parse_json_object(text)
    if "step" not in fields:
        raise ValueError("the field step is missing")
    progress = read_dataclass(Progress, fields)
    counts = {
        name: getattr(progress, name)
        for name in ("step", "examples_seen", "epoch", "best_epoch")
    } | {f"position {i}": n for i, n in enumerate(progress.positions)}
    for name, value in counts.items():
        if not 0 <= value <= _LARGEST_COUNT:
            raise ValueError(
                f"{name} must be from 0 to {_LARGEST_COUNT}, got {value}"
            )
    return progress

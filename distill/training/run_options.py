"""What a training run writes, and how far it has come."""

import dataclasses
from typing import Any

from distill.typed_json import read_dataclass
from distill.worker_choices import ON_NAN, SHARD_BY
from models.argument_checks import check_at_least, check_choice

# The most that all JSON readers read as written.
_LARGEST_COUNT = 2**53


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What a run writes and when; no option changes the trained weights.

    Attributes:
      train_dir: The run's directory.
      start_new_model: Whether to remove an earlier run there and start over.
      log_every_steps: Steps between two lines of the log.
      checkpoint_every_steps: Steps between two checkpoints; 0 for none.
      checkpoint_every_minutes: Minutes between two; 0 for none.
      checkpoint_every_epoch: Whether there is one after each epoch, beside the
        last.
      export_model_steps: Steps between two exports of the student; 0: none.
      keep_checkpoints: How many of the newest to keep; 0 keeps all.
      on_bad_record: `fail` or `skip`.
      eval_data_pattern: Validation files for a score after every epoch of a
        student alone, by which `best.h5` is kept; None for none.
      top_k: Classes a video that enter the validation GAP.
      quiet: Whether lines go to the log's files alone, and no bar is shown.
      on_nan: When the loss is not finite, `stop`, or `rollback` to the last
        checkpoint and go on without the batches since.
      shard_by: Of several workers: each reads files of its own (`file`), or
        all read everything and share every batch (`batch`).
    """

    train_dir: str
    start_new_model: bool = False
    log_every_steps: int = 10
    checkpoint_every_steps: int = 0
    checkpoint_every_minutes: float = 30.0
    checkpoint_every_epoch: bool = True
    export_model_steps: int = 0
    keep_checkpoints: int = 0
    on_bad_record: str = "fail"
    eval_data_pattern: str | None = None
    top_k: int = 20
    quiet: bool = False
    on_nan: str = "stop"
    shard_by: str = "file"

    def __post_init__(self):
        """Checks the fields."""
        check_at_least(1, log_every_steps=self.log_every_steps)
        for name in (
            "checkpoint_every_steps",
            "checkpoint_every_minutes",
            "export_model_steps",
            "keep_checkpoints",
        ):
            check_at_least(0, **{name: getattr(self, name)})
        check_choice("on_nan", self.on_nan, ON_NAN)
        check_choice("shard_by", self.shard_by, SHARD_BY)


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

"""What a run is at a step: written to checkpoints, taken up again from them."""

import collections
import dataclasses
import time
from pathlib import Path

from distill.checkpoints.checkpoint import (
    EMA_SUFFIX,
    NonFiniteError,
    load_variables,
    read_progress,
)
from distill.checkpoints.finite import check_finite
from distill.checkpoints.progress import Progress
from distill.distributed.workers import Workers
from distill.settings.run import RunSettings
from distill.training.run_directory import (
    RunDirectory,
    compare_with_checkpoint,
)
from distill.training.trainers import Groups

_MOST_ROLLBACKS = 3


class RunState:
    """The variables of a run and how far it has come.

    Args:
      settings: What defines the result.
      directory: Where checkpoints go.
      groups: The variables by group of a checkpoint and name.
      workers: The processes that share the run; the chief alone writes.
    """

    def __init__(
        self,
        settings: RunSettings,
        directory: RunDirectory,
        groups: Groups,
        workers: Workers,
    ):
        self.settings = settings
        self.directory = directory
        self.groups = groups
        self.workers = workers
        self.progress = Progress()
        self.saved_step: int | None = None
        self._last_save = time.monotonic()
        self._rollbacks: collections.Counter[Path] = collections.Counter()

    def resume(self, checkpoint: Path) -> list[str]:
        """Takes up a checkpoint; returns lines that say so.

        Raises:
          ValueError: A setting changed that has to be the same.
        """
        changed = compare_with_checkpoint(checkpoint, self.settings)
        self._load(checkpoint)
        return [
            f"going on from {checkpoint}: step {self.progress.step}, "
            f"{self.progress.epoch} epochs done"
        ] + [
            f"setting changed since then: {name}: {change}"
            for name, change in changed.items()
        ]

    def _load(self, checkpoint: Path) -> None:
        for group, variables in self.groups.items():
            load_variables(checkpoint, group, variables)
        self.progress = Progress(**read_progress(checkpoint))

    def minutes_since_save(self) -> float:
        """Returns the minutes since the last checkpoint, or the start."""
        return (time.monotonic() - self._last_save) / 60

    def save(self) -> Path | None:
        """Writes a checkpoint; returns its path on the chief.

        Raises:
          NonFiniteError: A variable is not finite, on all workers alike.
        """
        path = None
        if self.workers.is_chief:
            path = self.directory.save(
                self.groups, self.settings, dataclasses.asdict(self.progress)
            )
        else:
            check_finite(self.groups)
        self._last_save = time.monotonic()
        self.saved_step = self.progress.step
        return path

    def save_if_best(self, gap: float) -> None:
        """Keeps the student's result if its validation GAP is the best."""
        best = self.progress.best_gap
        if best is not None and gap <= best:
            return
        self.progress.best_gap = gap
        if self.workers.is_chief:
            self.directory.save_best(
                {
                    name: group
                    for name, group in self.groups.items()
                    if name in ("student", "student" + EMA_SUFFIX)
                },
                self.settings,
                dataclasses.asdict(self.progress),
            )

    def recover(self, error: NonFiniteError, on_nan: str) -> str:
        """Goes back to the last checkpoint, but not to its place in the data.

        Args:
          error: What happened.
          on_nan: `rollback`, or `stop`, which raises.

        Returns:
          A line that says so.

        Raises:
          NonFiniteError: It is not wanted, there is no checkpoint, or it did
            not help.
        """
        newest = self.directory.newest()
        if newest is None:
            raise NonFiniteError(
                f"{error} There is no checkpoint yet; try a smaller "
                "--base_learning_rate."
            ) from error
        if on_nan == "stop" or self._rollbacks[newest] == _MOST_ROLLBACKS:
            often = (
                f" It came again after {_MOST_ROLLBACKS} rollbacks."
                if self._rollbacks[newest]
                else ""
            )
            raise NonFiniteError(
                f"{error}{often} The last good checkpoint is {newest}; "
                "--on_nan=rollback goes on from there without the batches "
                "since; or try a smaller --base_learning_rate."
            ) from error
        self._rollbacks[newest] += 1
        place = {
            "epoch": self.progress.epoch,
            "positions": self.progress.positions,
        }
        self._load(newest)
        self.progress = dataclasses.replace(self.progress, **place)
        return (
            f"{error} Going back to {newest}, and on without the batches since."
        )

"""The state of a run at a step: saved to checkpoints, loaded from them."""

import collections
import dataclasses
import time
from pathlib import Path

from distill.checkpoints.checkpoint import (
    EMA_SUFFIX,
    NonFiniteError,
    checkpoint_path,
    load_variables,
    read_progress,
)
from distill.checkpoints.finite import check_finite
from distill.checkpoints.progress import Progress
from distill.distributed.workers import Workers
from distill.settings.run import RunSettings
from distill.training.run_directory import (
    BEST_NAME,
    RunDirectory,
    compare_with_checkpoint,
)
from distill.training.training_step import VariableGroups

_MAX_ROLLBACKS = 3


class RunState:
    """The variables of a run and its progress.

    Args:
      settings: All that defines the result.
      directory: The directory of the checkpoints.
      groups: The variables by group of a checkpoint and name.
      workers: The processes that share the run; the chief alone writes.
    """

    def __init__(
        self,
        settings: RunSettings,
        directory: RunDirectory,
        groups: VariableGroups,
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
        """Loads a checkpoint; returns lines for the log.

        Raises:
          ValueError: A setting changed that must stay the same.
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
          NonFiniteError: A variable is not finite; raised on all workers.
        """
        path = None
        if self.workers.is_chief:
            directory = self.directory
            path = checkpoint_path(directory.path, self.progress.step)
            directory.write(path, self.groups, self.settings, self.progress)
            directory.remove_oldest()
        else:
            check_finite(self.groups)
        self._last_save = time.monotonic()
        self.saved_step = self.progress.step
        return path

    def save_if_best(self, gap: float) -> None:
        """Saves the student's weights if their validation GAP is the best."""
        best = self.progress.best_gap
        if best is not None and gap <= best:
            return
        self.progress.best_gap = gap
        if self.workers.is_chief:
            names = ("student", "student" + EMA_SUFFIX)
            self.directory.write(
                self.directory.path / BEST_NAME,
                {n: self.groups[n] for n in names if n in self.groups},
                self.settings,
                self.progress,
            )

    def recover(self, error: NonFiniteError, on_nan: str) -> str:
        """Loads the last checkpoint's weights and skips the batches since.

        Args:
          error: The error to recover from.
          on_nan: `rollback`, or `stop`, which raises.

        Returns:
          A line for the log.

        Raises:
          NonFiniteError: The run cannot or shall not go on.
        """
        newest = self.directory.newest()
        if newest is None:
            raise NonFiniteError(
                f"{error} There is no checkpoint yet; try a smaller "
                "--base_learning_rate."
            ) from error
        rollbacks = self._rollbacks[newest]
        if on_nan == "stop" or rollbacks == _MAX_ROLLBACKS:
            again = f" It came again after {rollbacks} rollbacks."
            raise NonFiniteError(
                f"{error}{again if rollbacks else ''} The last good checkpoint "
                f"is {newest}; --on_nan=rollback goes on from there without "
                "the batches since; or try a smaller --base_learning_rate."
            ) from error
        self._rollbacks[newest] += 1
        reached = self.progress
        self._load(newest)
        self.progress = dataclasses.replace(
            self.progress, epoch=reached.epoch, positions=reached.positions
        )
        return (
            f"{error} Going back to {newest}, and on without the batches since."
        )

"""The state of a run: in memory, and in the files of its directory."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

from distill.checkpoints.checkpoint import (
    BEST_NAME,
    NETWORK_GROUPS,
    checkpoint_path,
    list_checkpoints,
    load_variables,
    read_inputs,
    read_progress,
    read_settings,
    write_checkpoint,
)
from distill.checkpoints.finite import NonFiniteError, check_finite
from distill.checkpoints.inputs import NamesAndSizes, RunInputs
from distill.checkpoints.progress import Progress
from distill.settings.run import RunSettings, changed_settings
from distill.system.atomic_files import clear_leftovers, replace_atomically
from distill.system.directory_lock import DirectoryLock
from distill.system.storage import make_directory, remove_directory, to_path
from distill.training.run_inputs import (
    RunFiles,
    compare_files,
    compare_measures,
    read_listed,
)
from distill.training.run_log import LOG_NAME
from distill.training.training_step import VariableGroups

SETTINGS_NAME = "settings.json"
_MAX_ROLLBACKS = 3
# With other values here a checkpoint's weights or optimiser do not fit.
_FIXED_SECTIONS = (
    "data.",
    "teacher.",
    "student.",
    "autoencoder",
    "initial_checkpoint",
    "teacher_checkpoints",
    "teacher_networks",
)
_FIXED_SETTINGS = ("teacher", "training.optimizer", "distillation.mimic")


class RunState:
    """The variables and the progress of a run, and their checkpoints.

    Args:
      settings: All that defines the result.
      directory: The run's directory; the first write makes it.
      groups: The variables by group of a checkpoint and name.
      files: The files that the run reads.
      keep_checkpoints: Number of the newest checkpoints to keep; 0 keeps all.
      is_writer: Whether this process writes the directory, as the chief does.
        A process that only reads takes no lock.
    """

    def __init__(
        self,
        settings: RunSettings,
        directory: str | Path,
        groups: VariableGroups,
        files: RunFiles,
        keep_checkpoints: int = 0,
        is_writer: bool = True,
    ):
        self.settings = settings
        self.directory = to_path(directory)
        self.groups = groups
        self.files = files
        self.keep_checkpoints = keep_checkpoints
        self.progress = Progress()
        self.saved_step: int | None = None
        self._lock = DirectoryLock(self.directory) if is_writer else None
        self._last_save = time.monotonic()
        self._rollbacks: collections.Counter[Path] = collections.Counter()

    @contextlib.contextmanager
    def keep_locked(self) -> Iterator[None]:
        """Locks other processes out; stays locked unless the body raises.

        Raises:
          ValueError: Another process writes the directory.
        """
        with contextlib.ExitStack() as on_error:
            on_error.enter_context(self.locked())
            yield
            on_error.pop_all()

    def locked(self) -> contextlib.AbstractContextManager:
        """Locks other processes out until the body ends."""
        return self._lock or contextlib.nullcontext()

    def newest(self) -> Path | None:
        """Returns the checkpoint of the greatest step, if any."""
        found = list_checkpoints(self.directory)
        return found[-1] if found else None

    def start_over(self) -> list[str]:
        """Removes the files of an earlier run; returns their names."""
        names = (BEST_NAME, SETTINGS_NAME, LOG_NAME, "events")
        files = [self.directory / name for name in names]
        files = list_checkpoints(self.directory) + files
        removed = [path for path in files if path.exists()]
        for path in removed:
            if path.is_dir():
                remove_directory(path)
            else:
                path.unlink()
        return [path.name for path in removed]

    def prepare_directory(self) -> None:
        """Clears interrupted writes; writes the run's settings and files."""
        make_directory(self.directory)
        clear_leftovers(self.directory)
        self.files.write(self.directory)
        with replace_atomically(self.directory / SETTINGS_NAME) as temporary:
            temporary.write_text(self.settings.to_json() + "\n")

    def resume(
        self, checkpoint: Path, accept_changed_files: bool = False
    ) -> list[str]:
        """Loads a checkpoint; returns lines for the log.

        Args:
          checkpoint: The newest of the run.
          accept_changed_files: Whether the training files may be others than
            before; the epoch then begins anew.

        Raises:
          ValueError: A setting or a file changed that must stay the same.
        """
        old = read_inputs(checkpoint)
        changed = self._changed_settings(checkpoint, old)
        self._load(checkpoint)
        lines = [
            f"going on from {checkpoint}: step {self.progress.step}, "
            f"{self.progress.epoch} epochs done"
        ] + [
            f"setting changed since then: {name}: {change}"
            for name, change in changed.items()
        ]
        if old is None:
            return [
                *lines,
                "the checkpoint, of an earlier version, does not say what "
                "files it has read: they are not compared",
            ]
        files = self.files
        replaced = files.replaced(old, fixed=False)
        lines += [f"changed since then: {change}" for change in replaced]
        lines += files.gone(old)
        lines += self._compare_training_files(
            checkpoint, old, accept_changed_files
        )
        lines += self._compare_measures(old)
        files.continue_from(old)
        return lines

    def _changed_settings(
        self, checkpoint: Path, old: RunInputs | None
    ) -> dict[str, str]:
        """Returns the settings that have changed, and may do so."""
        changed = changed_settings(
            read_settings(checkpoint).with_all_arguments(),
            self.settings.with_all_arguments(),
        )
        moved = set() if old is None else self.files.same_settings(old)
        fixed = [
            f"{name}: {change}"
            for name, change in changed.items()
            if (name.startswith(_FIXED_SECTIONS) or name in _FIXED_SETTINGS)
            and name not in moved
        ]
        if old is not None:
            fixed += self.files.replaced(old, fixed=True)
        if fixed:
            raise ValueError(
                f"{checkpoint} was written with other settings "
                f"({'; '.join(fixed)}). Use them again, another --train_dir, "
                "or --start_new_model."
            )
        return changed

    def _compare_training_files(
        self, checkpoint: Path, old: RunInputs, accept: bool
    ) -> list[str]:
        """Returns a line on training files that have changed, if any."""
        listed = read_listed(self.directory, "train_files", old.train_files)
        changes = compare_files(old.train_files, listed, self.files.train)
        if changes is None:
            return []
        is_within_epoch = any(self.progress.positions)
        if not accept and (is_within_epoch or not changes.only_new):
            where = "amid an epoch, " if is_within_epoch else ""
            raise ValueError(
                f"{checkpoint} was written {where}with other training files "
                f"({changes.text}). Use them again, another --train_dir, or "
                "--accept_changed_files to go on with those of now"
                f"{', the epoch begun anew' * is_within_epoch}."
            )
        self.progress.positions = ()
        epoch = f"epoch {self.progress.epoch + 1} begins"
        return [
            f"training files changed since then ({changes.text}): {epoch}"
            f"{' anew' * is_within_epoch} with those of now"
        ]

    def _compare_measures(self, old: RunInputs) -> list[str]:
        """Forgets a best score that the next one cannot be compared with."""
        progress, new = self.progress, self.files.inputs.measure
        if progress.best_gap is None or new is None:
            return []
        listed: NamesAndSizes = []
        if old.measure is not None:
            files = old.measure.files
            listed = read_listed(self.directory, "validation_files", files)
        changes = compare_measures(
            old.measure, new, (listed, self.files.validation)
        )
        if changes:
            reason = f"the validation changed since then ({changes})"
        elif not (self.directory / BEST_NAME).exists():
            reason = f"{BEST_NAME} is gone"
        else:
            return []
        line = (
            f"{reason}: the best GAP, {progress.best_gap:.4f} of epoch "
            f"{progress.best_epoch}, is forgotten; the next validation writes "
            f"{BEST_NAME} and begins the count of --patience"
        )
        progress.best_gap, progress.best_epoch = None, 0
        return [line]

    def _load(self, checkpoint: Path) -> None:
        for group, variables in self.groups.items():
            load_variables(checkpoint, group, variables)
        self.progress = Progress(**read_progress(checkpoint))

    def minutes_since_save(self) -> float:
        """Returns the minutes since the last checkpoint, or the start."""
        return (time.monotonic() - self._last_save) / 60

    def save(self) -> Path | None:
        """Writes a checkpoint and removes the oldest; returns its path.

        The path is None where this process does not write.

        Raises:
          NonFiniteError: A variable is not finite; raised on all workers.
        """
        path = None
        if self._lock is None:
            check_finite(self.groups)
        else:
            path = checkpoint_path(self.directory, self.progress.step)
            self.write(path, self.groups)
            if self.keep_checkpoints:
                saved = list_checkpoints(self.directory)
                for old in saved[: -self.keep_checkpoints]:
                    old.unlink()
        self._last_save = time.monotonic()
        self.saved_step = self.progress.step
        return path

    def save_if_best(self, gap: float) -> None:
        """Saves the networks if this validation GAP is the best so far.

        The file holds what evaluation and conversion read of a checkpoint. No
        run goes on from it, so it lacks the optimiser.
        """
        progress = self.progress
        if progress.best_gap is not None and gap <= progress.best_gap:
            return
        progress.best_gap = gap
        # A run that --max_steps ends within an epoch is scored there.
        progress.best_epoch = progress.epoch + any(progress.positions)
        names = [name for name in self.groups if name in NETWORK_GROUPS]
        groups = {name: self.groups[name] for name in names}
        self.write(self.directory / BEST_NAME, groups)

    def epochs_since_best(self) -> int:
        """Returns the epochs finished since the best score; 0 without one."""
        progress = self.progress
        if not progress.best_epoch:
            return 0
        return max(progress.epoch - progress.best_epoch, 0)

    def write(self, path: Path, groups: VariableGroups) -> None:
        """Writes a checkpoint, if this process writes and holds the lock."""
        if self._lock is not None:
            self._lock.check()
            progress = dataclasses.asdict(self.progress)
            inputs = self.files.inputs
            write_checkpoint(path, groups, self.settings, progress, inputs)

    def recover(self, error: NonFiniteError, on_nan: str) -> str:
        """Loads the last checkpoint's weights and skips the batches since.

        Returns a line for the log.

        Raises:
          NonFiniteError: The run cannot or shall not go on.
        """
        newest = self.newest()
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
            reached,
            step=self.progress.step,
            examples_seen=self.progress.examples_seen,
        )
        return (
            f"{error} Going back to {newest}, and on without the batches since."
        )

"""A run's directory: its checkpoints, settings and logs, and starting over."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distill.checkpoints import checkpoint as checkpoints
from distill.settings.run import RunSettings, changed_settings
from distill.system.atomic_files import clear_leftovers, replace_atomically
from distill.system.directory_lock import DirectoryLock
from distill.training.run_log import LOG_NAME

BEST_NAME = "best.h5"
SETTINGS_NAME = "settings.json"


class RunDirectory:
    """What a training run writes, all under one path.

    Args:
      path: The directory; it is made by the first write.
      keep_checkpoints: How many of the newest to keep; 0 keeps all.
      is_writer: Whether this process writes it; one that reads needs no lock.
    """

    def __init__(
        self,
        path: str | Path,
        keep_checkpoints: int = 0,
        *,
        is_writer: bool = True,
    ):
        if keep_checkpoints < 0:
            raise ValueError(
                f"keep_checkpoints must be 0 or more, got {keep_checkpoints}."
            )
        self.path = Path(path)
        self.keep_checkpoints = keep_checkpoints
        self._is_writer = is_writer
        self._lock = DirectoryLock(self.path)

    @contextlib.contextmanager
    def keep_locked(self) -> Iterator[None]:
        """Locks other processes out; stays locked unless the body raises.

        Raises:
          ValueError: Another process writes the directory.
        """
        if self._is_writer:
            self._lock.acquire()
        try:
            yield
        except BaseException:
            self._lock.release()
            raise

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks other processes out until the body ends."""
        with self._lock if self._is_writer else contextlib.nullcontext():
            yield

    def newest(self) -> Path | None:
        """Returns the checkpoint of the greatest step, if there is one."""
        found = checkpoints.list_checkpoints(self.path)
        return found[-1] if found else None

    def start_over(self) -> list[str]:
        """Removes what an earlier run wrote here; returns the names."""
        candidates = [
            *checkpoints.list_checkpoints(self.path),
            *(self.path / n for n in (BEST_NAME, SETTINGS_NAME, LOG_NAME)),
            self.path / "events",
        ]
        removed = [path for path in candidates if path.exists()]
        for path in removed:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        return [path.name for path in removed]

    def prepare(self, settings: RunSettings) -> None:
        """Clears interrupted writes and writes the run's settings."""
        self.path.mkdir(parents=True, exist_ok=True)
        clear_leftovers(self.path)
        with replace_atomically(self.path / SETTINGS_NAME) as temporary:
            temporary.write_text(settings.to_json() + "\n")

    def save(
        self,
        groups: Mapping[str, Mapping[str, Any]],
        settings: RunSettings,
        progress: Mapping[str, Any],
    ) -> Path:
        """Writes the checkpoint of a step and removes the oldest."""
        self._lock.check()
        path = checkpoints.checkpoint_path(self.path, progress["step"])
        checkpoints.write_checkpoint(path, groups, settings, progress)
        kept = checkpoints.list_checkpoints(self.path)
        if self.keep_checkpoints:
            for old in kept[: -self.keep_checkpoints]:
                old.unlink()
        return path

    def save_best(
        self,
        groups: Mapping[str, Mapping[str, Any]],
        settings: RunSettings,
        progress: Mapping[str, Any],
    ) -> None:
        """Writes the best weights so far."""
        self._lock.check()
        checkpoints.write_checkpoint(
            self.path / BEST_NAME, groups, settings, progress
        )


def compare_with_checkpoint(
    checkpoint: Path, settings: RunSettings
) -> dict[str, str]:
    """Names the settings that changed since a checkpoint was written.

    Raises:
      ValueError: A setting changed without which the checkpoint's weights or
        its place in the data mean nothing.
    """
    old = checkpoints.read_settings(checkpoint)
    changed = changed_settings(old, settings)
    parts = (
        "data.",
        "teacher.",
        "student.",
        "autoencoder",
        "initial_checkpoint",
        "teacher_checkpoints",
        "teacher_networks",
    )
    fixed = {
        name: change
        for name, change in changed.items()
        if name.startswith(parts)
        or name in ("teacher", "training.optimizer", "distillation.mimic")
    }
    if fixed:
        listed = "; ".join(f"{name}: {fixed[name]}" for name in fixed)
        raise ValueError(
            f"{checkpoint} was written with other settings ({listed}). Use "
            "them again, another --train_dir, or --start_new_model."
        )
    return changed

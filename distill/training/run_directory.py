"""A run's directory: its checkpoints, settings and logs, and starting over."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distill.checkpoints import checkpoint as checkpoints
from distill.checkpoints.progress import Progress
from distill.settings.run import RunSettings, changed_settings
from distill.system.atomic_files import clear_leftovers, replace_atomically
from distill.system.directory_lock import DirectoryLock
from distill.training.run_log import LOG_NAME

BEST_NAME = "best.h5"
SETTINGS_NAME = "settings.json"
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


class RunDirectory:
    """All files that a training run writes.

    Args:
      path: The directory; the first write makes it.
      keep_checkpoints: Number of the newest checkpoints to keep; 0 keeps all.
      is_writer: Whether this process writes the directory. A process that only
        reads takes no lock.
    """

    def __init__(
        self,
        path: str | Path,
        keep_checkpoints: int = 0,
        *,
        is_writer: bool = True,
    ):
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
        """Returns the checkpoint of the greatest step, if any."""
        found = checkpoints.list_checkpoints(self.path)
        return found[-1] if found else None

    def start_over(self) -> list[str]:
        """Removes the files of an earlier run; returns their names."""
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

    def write(
        self,
        path: Path,
        groups: Mapping[str, Mapping[str, Any]],
        settings: RunSettings,
        progress: Progress,
    ) -> None:
        """Writes a checkpoint if the lock is still held."""
        self._lock.check()
        fields = dataclasses.asdict(progress)
        checkpoints.write_checkpoint(path, groups, settings, fields)

    def remove_oldest(self) -> None:
        """Removes all but the newest checkpoints, as many as are kept."""
        if self.keep_checkpoints:
            saved = checkpoints.list_checkpoints(self.path)
            for path in saved[: -self.keep_checkpoints]:
                path.unlink()


def compare_with_checkpoint(
    checkpoint: Path, settings: RunSettings
) -> dict[str, str]:
    """Returns the settings that differ from a checkpoint's, `old -> new`.

    Raises:
      ValueError: A setting differs that must stay the same in a run.
    """
    changed = changed_settings(checkpoints.read_settings(checkpoint), settings)
    fixed = [
        f"{name}: {change}"
        for name, change in changed.items()
        if name.startswith(_FIXED_SECTIONS) or name in _FIXED_SETTINGS
    ]
    if fixed:
        raise ValueError(
            f"{checkpoint} was written with other settings "
            f"({'; '.join(fixed)}). Use them again, another --train_dir, or "
            "--start_new_model."
        )
    return changed

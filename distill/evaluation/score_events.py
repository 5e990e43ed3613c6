"""Scores of checkpoints as TensorBoard's scalars, by step and by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.reporting.event_files import EventFiles
from distill.system.uploads import WorkingDirectory
from distill.system.write_errors import name_write_errors

SPLIT = "evaluation"


def tag_scores(role: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a network's scores by their tags, as training names them.

    The loss is the counterpart of `ROLE_label_loss` among a step's terms,
    without its weight.
    """
    tagged = {f"{role}_{name}": value for name, value in scores.items()}
    tagged[f"{role}_label_loss"] = tagged.pop(f"{role}_loss", None)
    return tagged


class ScoreEvents:
    """The scalars of the checkpoints that an evaluation scores.

    They lie in `evaluation` in the directory. `student_gap` is by step, and
    `epoch/student_gap` by finished epochs.

    Args:
      directory: For the files; None writes nothing.

    Raises:
      WriteError: The directory cannot be made.
    """

    def __init__(self, directory: Path | None):
        self._files: WorkingDirectory | None = None
        if directory is not None:
            with name_write_errors(directory):
                self._files = WorkingDirectory(directory)
                directory = self._files.local
        self._events = EventFiles(directory, [SPLIT])

    def __enter__(self) -> "ScoreEvents":
        """Returns itself."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Closes the files."""
        self._events.close()
        if self._files is not None:
            self._files.close()

    def write(self, scores: Sequence[Mapping[str, Any]]) -> None:
        """Writes the scores of a checkpoint's networks, if they have a step.

        An ensemble has no step, and an artifact no epoch.
        """
        for network in scores:
            tagged = tag_scores(network["role"], network)
            if network["step"] is not None:
                self._events.write_scalars(SPLIT, network["step"], tagged)
            if network.get("epoch") is not None:
                by_epoch = {f"epoch/{tag}": x for tag, x in tagged.items()}
                self._events.write_scalars(SPLIT, network["epoch"], by_epoch)
        self._events.flush()
        if self._files is not None:
            self._files.upload()

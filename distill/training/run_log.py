"""The log of a run: JSON lines, TensorBoard, and what is displayed."""

import dataclasses
import datetime
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.evaluation.score_events import tag_scores
from distill.metrics.accumulator import VideoMetrics
from distill.reporting.event_files import EventFiles
from distill.system.atomic_files import replace_atomically
from distill.system.named_reads import open_text
from distill.system.uploads import WorkingDirectory
from distill.system.write_errors import name_write_errors
from distill.training.run_display import RunDisplay, StepState

LOG_NAME = "log.jsonl"
_SCORES = ("hit_at_one", "perr", "gap")


@dataclasses.dataclass
class _Epoch:
    """Sums over the steps of an epoch.

    Attributes:
      start: Time at which the epoch began.
      end: Time at which its last step ended.
      place: Step and epoch of its last step.
      num_steps: Its steps in this process.
      num_examples: Their examples.
      total_loss: Sum of their losses.
      metrics: Those of the batches that were scored, by network.
      validation: GAP on the validation data, by network.
    """

    start: float = dataclasses.field(default_factory=time.perf_counter)
    end: float = 0.0
    place: tuple[int, int] = (0, 0)
    num_steps: int = 0
    num_examples: int = 0
    total_loss: float = 0.0
    metrics: dict[str, VideoMetrics] = dataclasses.field(default_factory=dict)
    validation: dict[str, float] = dataclasses.field(default_factory=dict)

    def cells(self, examples: str) -> dict[str, str]:
        """Returns the epoch's row, by title."""
        step, epoch = self.place
        seconds = round(time.perf_counter() - self.start)
        rate = self.num_examples / (self.end - self.start)
        gaps = {
            f"{role} GAP": f"{metrics.result()['gap']:.4f}"
            for role, metrics in self.metrics.items()
        }
        validation = {
            f"{role} val": f"{gap:.4f}" for role, gap in self.validation.items()
        }
        return {
            "epoch": str(epoch),
            "step": str(step),
            "loss": f"{self.total_loss / self.num_steps:.3g}",
            **gaps,
            **validation,
            f"{examples}/s": f"{rate:.0f}",
            "time": str(datetime.timedelta(seconds=seconds)),
        }


class RunLog:
    """Reports a run's steps, epochs and evaluations.

    A logged step and an evaluation go to `log.jsonl` as an object a line, and
    to TensorBoard as scalars. A run that was killed may have left lines of
    steps after its last checkpoint; they are dropped. Cloud storage gets the
    files at each checkpoint and at the end.

    Args:
      directory: The run's directory; None for workers other than the chief,
        which write nothing.
      first_step: The step from which the run goes on.
      display: Shows the steps and epochs.
      epoch_is_done: Whether `first_step` was the last of an epoch. If not, the
        run repeats a validation that was logged after it.
    """

    def __init__(
        self,
        directory: Path | None,
        first_step: int,
        display: RunDisplay,
        epoch_is_done: bool = True,
    ):
        self._display = display
        self._path, events, self._files = Path(os.devnull), None, None
        if directory is not None:
            self._files = WorkingDirectory(directory, LOG_NAME)
            self._path = self._files.local / LOG_NAME
            events = self._files.local / "events"
        self._events = EventFiles(events, ("", "train", "validation"))
        if directory is not None:
            _drop_later_lines(self._path, first_step, epoch_is_done)
        self._file = self._path.open("a")
        self._epoch = _Epoch()
        self._gaps: dict[str, float] = {}
        self._restart_timing()

    def __enter__(self) -> "RunLog":
        """Shows the progress bar."""
        self._display.start()
        return self

    def __exit__(self, *error: Any) -> None:
        """Removes the bar and closes the files."""
        self._display.stop()
        with name_write_errors(self._path):
            self._file.close()
        self._events.close()
        if self._files is not None:
            self._files.close()

    def say(self, message: str) -> None:
        """Prints a message."""
        self._display.say(message)

    def time_waiting(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yields the batches; counts the time spent waiting for them."""
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - start
            yield batch

    def count(self, step: int, epoch: int, examples: int, loss: float) -> None:
        """Counts a finished step, its examples and its loss."""
        self._examples += examples
        sums = self._epoch
        sums.end = time.perf_counter()
        sums.place = (step, epoch)
        sums.num_steps += 1
        sums.num_examples += examples
        sums.total_loss += loss
        rate = self._examples / (sums.end - self._since)
        self._state = StepState(step, epoch, loss, self._gaps, rate)
        self._display.show_step(self._state)

    def set_total(self, total_steps: int) -> None:
        """Corrects the estimated number of steps."""
        self._display.set_total(total_steps)

    @property
    def epoch_loss(self) -> float:
        """Mean loss of the epoch's steps; NaN without any in this process."""
        steps = self._epoch.num_steps
        return self._epoch.total_loss / steps if steps else math.nan

    @property
    def has_scores(self) -> bool:
        """Whether a batch of this epoch was scored."""
        return bool(self._epoch.metrics)

    def score(
        self, predictions: Mapping[str, np.ndarray], labels: np.ndarray
    ) -> dict[str, float]:
        """Scores a batch for the display, and for the row of its epoch.

        Args:
          predictions: `[batch, classes]` by network.
          labels: Booleans `[batch, classes]`.

        Returns:
          `NETWORK_hit_at_one`, `NETWORK_perr` and `NETWORK_gap` of the batch.
        """
        found: dict[str, float] = {}
        for role, values in predictions.items():
            metrics = VideoMetrics(exact_map=False)
            metrics.update(np.asarray(values), np.asarray(labels))
            scores = metrics.result()
            found |= {f"{role}_{name}": scores[name] for name in _SCORES}
            self._gaps[role] = scores["gap"]
            empty = VideoMetrics(exact_map=False)
            self._epoch.metrics.setdefault(role, empty).merge(metrics)
        return found

    def log_step(
        self,
        progress: dict[str, Any],
        terms: Mapping[str, Any],
        predictions: Mapping[str, np.ndarray],
        labels: np.ndarray,
    ) -> None:
        """Logs the step that was counted last: metrics, loss terms, speed.

        The progress is `step`, `epoch` and `learning_rate`; predictions and
        labels are those of `score`.
        """
        line: dict[str, Any] = {"kind": "step"} | progress
        line |= self.score(predictions, labels)
        values = {name: float(value) for name, value in terms.items()}
        seconds = time.perf_counter() - self._since
        line |= values
        line["examples_per_second"] = self._examples / seconds
        line["share_waiting"] = self._waited / seconds
        self._restart_timing()
        self._write(line)
        self._events.write_scalars("train", line["step"], line)
        self._display.show_step(self._state)
        self._display.print_step(self._state, values)

    def log_histograms(
        self,
        step: int,
        weights: Mapping[str, Any],
        gradients: Sequence[Any],
    ) -> None:
        """Hands a step's weights and gradients to TensorBoard.

        Weights are variables by name, after the step; a gradient of each is
        that of the whole batch's loss, or None.
        """
        arrays = {f"weights/{n}": np.asarray(v) for n, v in weights.items()}
        for name, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                arrays[f"gradients/{name}"] = np.asarray(gradient)
        self._events.write_histograms("train", step, arrays)

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Hands the run's settings, by name, to TensorBoard."""
        self._events.write_settings(settings)

    def log_evaluation(
        self, step: int, scores: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Logs each network's scores on validation data, after an epoch."""
        for role, network in scores.items():
            self._write(
                {"kind": "evaluation", "step": step, "role": role, **network}
            )
            scalars = tag_scores(role, network)
            self._events.write_scalars("validation", step, scalars)
            self._epoch.validation[role] = network["gap"]

    def start_validation(self) -> None:
        """Shows that the networks are being scored."""
        self._display.start_validation()

    def end_epoch(self) -> None:
        """Prints the row of an epoch, unless a resumed run had no step left."""
        if self._epoch.num_steps:
            # The validation is over.
            self._display.show_step(self._state)
            self._display.print_epoch(self._epoch.cells(self._display.examples))
        self._epoch = _Epoch()
        self._restart_timing()

    def _restart_timing(self) -> None:
        self._examples, self._waited = 0, 0.0
        self._since = time.perf_counter()

    def flush(self) -> None:
        """Writes all buffered lines to disk, or to cloud storage."""
        with name_write_errors(self._path):
            self._file.flush()
        self._events.flush()
        if self._files is not None:
            self._files.upload()

    def _write(self, line: dict[str, Any]) -> None:
        with name_write_errors(self._path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def _read_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    with open_text(path, errors="replace") as file:
        return file.read().splitlines()


def _drop_later_lines(path: Path, first_step: int, epoch_is_done: bool) -> None:
    """Removes lines of steps that the run will make again."""
    kept = []
    for text in _read_lines(path):
        try:
            line = json.loads(text)
            _ = line["kind"], line["step"] + 0
        except (ValueError, RecursionError, TypeError, KeyError):
            continue  # damaged
        # The validation of an epoch comes before its last checkpoint.
        repeated = line["kind"] == "evaluation" and not epoch_is_done
        if line["step"] < first_step + (not repeated):
            kept.append(text)
    with replace_atomically(path) as temporary:
        temporary.write_text("".join(f"{text}\n" for text in kept))

"""The log of a run: lines, a progress bar, JSON lines, TensorBoard."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rich.console
import rich.progress

from distill.metrics.accumulator import VideoMetrics
from distill.system.atomic_files import replace_atomically
from distill.system.write_errors import name_write_errors
from distill.training.event_files import EventFiles

LOG_NAME = "log.jsonl"
_LABELS = {"hit_at_one": "Hit@1", "perr": "PERR", "gap": "GAP"}
_SEGMENT_LABELS = {
    "segment_mean_average_precision": "segment mAP",
    "gap": "GAP",
}


class RunLog:
    """Reports a run's steps and evaluations.

    A terminal shows the lines above a progress bar with the time left. Each
    line also goes to `log.jsonl` as an object and to TensorBoard as scalars.
    The line of an evaluation is one object for each network there.
    A run that was killed may have left lines of steps after its last
    checkpoint; they are dropped.

    Args:
      directory: The run's directory; None for workers other than the chief,
        which print and write nothing.
      first_step: The step from which the run goes on.
      total_steps: Estimated number of steps of the whole run.
      epoch_is_done: Whether `first_step` was the last of an epoch. If not, the
        run repeats a validation that was logged after it.
      quiet: Whether nothing is printed.
    """

    def __init__(
        self,
        directory: Path | None,
        first_step: int,
        total_steps: int,
        epoch_is_done: bool = True,
        quiet: bool = False,
    ):
        quiet = quiet or directory is None
        self._console = rich.console.Console(
            highlight=False, soft_wrap=True, quiet=quiet
        )
        self._path, events = Path(os.devnull), None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            self._path = directory / LOG_NAME
            events = directory / "events"
        self._events = EventFiles(events)
        if directory is not None:
            _drop_later_lines(self._path, first_step, epoch_is_done)
        self._file = self._path.open("a")
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("ETA"),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task(
            "training", total=total_steps, completed=first_step
        )
        self._examples = 0
        self._waited = 0.0
        self._since = time.perf_counter()

    def __enter__(self) -> "RunLog":
        """Shows the progress bar."""
        self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        """Removes the bar and closes the files."""
        self._bar.stop()
        with name_write_errors(self._path):
            self._file.close()
        self._events.close()

    def say(self, message: str) -> None:
        """Prints one line."""
        self._console.print(message, markup=False)

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

    def count(self, step: int, examples: int) -> None:
        """Counts a finished step and its examples."""
        self._examples += examples
        self._bar.update(self._task, completed=step)

    def set_total(self, total_steps: int) -> None:
        """Corrects the estimated number of steps."""
        self._bar.update(self._task, total=total_steps)

    def log_step(
        self,
        progress: dict[str, Any],
        terms: Mapping[str, Any],
        predictions: Mapping[str, np.ndarray],
        labels: np.ndarray,
    ) -> None:
        """Reports one step: metrics on its batch, loss terms, speed.

        The progress is `step`, `epoch` and `learning_rate`; the predictions
        are `[batch, classes]` by network, the labels bool `[batch, classes]`.
        """
        line: dict[str, Any] = {"kind": "step"} | progress
        for role, values in predictions.items():
            metrics = VideoMetrics(exact_map=False)
            metrics.update(np.asarray(values), np.asarray(labels))
            scores = metrics.result()
            line |= {f"{role}_{name}": scores[name] for name in _LABELS}
        line |= {name: float(value) for name, value in terms.items()}
        now = time.perf_counter()
        line["examples_per_second"] = self._examples / (now - self._since)
        line["share_waiting"] = self._waited / (now - self._since)
        self._examples, self._waited, self._since = 0, 0.0, now
        self._write(line)
        self._events.write_scalars("train", line["step"], line)
        self.say(_format_step(line, predictions, terms))

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Hands the run's settings, by name, to TensorBoard."""
        self._events.write_settings(settings)

    def log_evaluation(
        self, step: int, scores: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Reports each network's scores on validation data, by role."""
        fields = []
        for role, network in scores.items():
            self._write(
                {"kind": "evaluation", "step": step, "role": role, **network}
            )
            # The loss's counterpart among a step's terms, without its weight.
            tagged = {
                f"{role}_{name}": value for name, value in network.items()
            }
            tagged[f"{role}_label_loss"] = tagged.pop(f"{role}_loss", None)
            self._events.write_scalars("validation", step, tagged)
            labels = _SEGMENT_LABELS if "num_segments" in network else _LABELS
            named = (f"{labels[name]} {network[name]:.4f}" for name in labels)
            fields.append(f"{role} {', '.join(named)}")
        self.say(f"validation after step {step}: {' | '.join(fields)}")
        self._waited, self._since = 0.0, time.perf_counter()

    def flush(self) -> None:
        """Writes all buffered lines to disk."""
        with name_write_errors(self._path):
            self._file.flush()
        self._events.flush()

    def _write(self, line: dict[str, Any]) -> None:
        with name_write_errors(self._path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def _format_step(
    line: Mapping[str, Any], networks: Iterable[str], terms: Iterable[str]
) -> str:
    fields = [f"step {line['step']} epoch {line['epoch']}"]
    for role in networks:
        scores = " ".join(
            f"{label} {line[f'{role}_{name}']:.3f}"
            for name, label in _LABELS.items()
        )
        fields.append(f"{role} {scores}")
    fields.append(" ".join(f"{name} {line[name]:.4g}" for name in terms))
    fields.append(
        f"{line['examples_per_second']:.0f} examples/s, "
        f"{line['share_waiting']:.0%} waiting"
    )
    return " | ".join(fields)


def _drop_later_lines(path: Path, first_step: int, epoch_is_done: bool) -> None:
    """Removes lines of steps that the run will make again."""
    kept = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        # The validation of an epoch comes before its last checkpoint.
        repeated = line["kind"] == "evaluation" and not epoch_is_done
        if line["step"] < first_step + (not repeated):
            kept.append(text)
    with replace_atomically(path) as temporary:
        temporary.write_text("".join(f"{text}\n" for text in kept))

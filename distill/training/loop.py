"""The training loop: batches to steps, steps to checkpoints, and resuming."""

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from distill.data.pipeline import VideoReader, find_files
from distill.evaluation import evaluate_network
from distill.networks import Network, build_network
from distill.settings import RunSettings, check_at_least
from distill.training.checkpoints import (
    load_variables,
    optimizer_names,
    random_state_names,
    read_progress,
    weight_names,
)
from distill.training.distiller import Distiller
from distill.training.initial_weights import load_initial_student
from distill.training.run_directory import (
    RunDirectory,
    compare_with_checkpoint,
)
from distill.training.run_log import RunLog
from distill.training.schedules import learning_rate


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What a run writes and when; no option changes the trained weights.

    Attributes:
      train_dir: The run's directory.
      start_new_model: Whether to remove an earlier run there and start over.
      log_every_steps: Steps between two lines of the log.
      checkpoint_every_steps: Steps between two checkpoints; 0 for none.
      checkpoint_every_minutes: Minutes between two; 0 for none.
      keep_checkpoints: How many of the newest to keep; 0 keeps all.
      on_bad_record: `fail` or `skip`.
      eval_data_pattern: Validation files for a score after every epoch of a
        student alone, by which `best.h5` is kept; None for none.
      top_k: Classes a video that enter the validation GAP.
    """

    train_dir: str
    start_new_model: bool = False
    log_every_steps: int = 10
    checkpoint_every_steps: int = 0
    checkpoint_every_minutes: float = 30.0
    keep_checkpoints: int = 0
    on_bad_record: str = "fail"
    eval_data_pattern: str | None = None
    top_k: int = 20

    def __post_init__(self):
        """Checks the fields."""
        check_at_least("log_every_steps", self.log_every_steps, 1)
        for name in (
            "checkpoint_every_steps",
            "checkpoint_every_minutes",
            "keep_checkpoints",
        ):
            check_at_least(name, getattr(self, name), 0)


@dataclasses.dataclass
class Progress:
    """How far a run has come.

    Attributes:
      step: Training steps made.
      examples_seen: Videos trained on, repetitions counted.
      epoch: Epochs finished.
      position: Records of the current epoch that lie behind.
      best_gap: Best validation GAP so far, or None.
    """

    step: int = 0
    examples_seen: int = 0
    epoch: int = 0
    position: int = 0
    best_gap: float | None = None


class TrainingRun:
    """One run of a stage that trains, from its settings to its checkpoints.

    Building it checks the settings, finds the files and takes up the run's
    newest checkpoint, if there is one.

    Args:
      settings: What defines the result.
      options: What is written and when.

    Raises:
      ValueError: The settings do not fit one another, the files or the
        checkpoint that the run would go on from.
    """

    def __init__(self, settings: RunSettings, options: RunOptions):
        self.settings = settings
        self.options = options
        self.progress = Progress()
        self.directory = RunDirectory(
            options.train_dir, options.keep_checkpoints
        )
        keras.utils.set_random_seed(settings.training.seed)
        networks = _build_networks(settings)
        self.reader = self._make_reader(settings.training.train_data_pattern)
        self.validation = (
            self._make_reader(options.eval_data_pattern)
            if options.eval_data_pattern and settings.teacher is None
            else None
        )
        self.distiller = Distiller(
            networks["student"],
            settings.training,
            networks.get("teacher"),
            settings.distillation,
        )
        self.groups = _checkpoint_groups(networks, self.distiller.optimizer)
        self.messages: list[str] = []
        self._start_or_resume()

    def _make_reader(self, pattern: str) -> VideoReader:
        return VideoReader(
            self.settings.data,
            find_files(pattern),
            self.settings.training.batch_size,
            on_bad_record=self.options.on_bad_record,
        )

    def _start_or_resume(self) -> None:
        if self.options.start_new_model:
            removed = self.directory.start_over()
            if removed:
                self.messages.append(
                    f"starting over in {self.directory.path}; removed "
                    f"{', '.join(removed)}"
                )
        newest = self.directory.newest()
        if newest is not None:
            self._resume(newest)
        elif self.settings.initial_checkpoint:
            self.messages += load_initial_student(
                self.settings.initial_checkpoint,
                self.distiller.student,
                self.settings.data.num_classes,
            )
        self.directory.prepare(self.settings)

    def _resume(self, checkpoint: Path) -> None:
        changed = compare_with_checkpoint(checkpoint, self.settings)
        for group, variables in self.groups.items():
            load_variables(checkpoint, group, variables)
        self.progress = Progress(**read_progress(checkpoint))
        self.messages.append(
            f"going on from {checkpoint}: step {self.progress.step}, "
            f"{self.progress.epoch} epochs done"
        )
        self.messages += [
            f"setting changed since then: {name}: {change}"
            for name, change in changed.items()
        ]

    @property
    def finished(self) -> bool:
        """Whether all epochs or steps have been made."""
        training = self.settings.training
        return self.progress.epoch >= training.num_epochs or (
            training.max_steps is not None
            and self.progress.step >= training.max_steps
        )

    def train(self) -> bool:
        """Trains to the end.

        Returns:
          False if a signal (Ctrl-C, SIGTERM) ended it early; the state was
          saved then.
        """
        log = RunLog(
            self.directory.path, self.progress.step, self._estimate_steps()
        )
        with log, _catch_signals() as caught:
            for message in self.messages:
                log.say(message)
            if self.finished:
                log.say(
                    f"nothing to do: step {self.progress.step} is the last; "
                    "raise --num_epochs (or --max_steps) to train on"
                )
                return True
            self._last_save = time.monotonic()
            while not self.finished and not caught:
                self._train_epoch(log, caught)
            if caught:
                log.say(
                    f"stopped by {caught[0].name} after step "
                    f"{self.progress.step}, which is saved; run the same "
                    "command to go on"
                )
            return not caught

    def _train_epoch(self, log: RunLog, caught: list) -> None:
        """Trains to the end of the epoch, the last step or a signal."""
        training = self.settings.training
        batches = self.reader.read_shuffled(
            training.seed,
            self.progress.epoch,
            training.shuffle_buffer_size,
            self.progress.position,
        )
        for batch in batches:
            self._train_step(batch, log)
            if self.finished or caught:
                break
            if self._checkpoint_is_due():
                self._save(log)
        else:
            self.progress.epoch += 1
            self.progress.position = 0
            steps_an_epoch = math.ceil(self.progress.step / self.progress.epoch)
            log.set_total(self._limit(steps_an_epoch * training.num_epochs))
            self._validate(log)
        self._save(log)

    def _train_step(self, batch: dict[str, Any], log: RunLog) -> None:
        progress = self.progress
        rate = learning_rate(self.settings.training, progress.examples_seen)
        terms, predictions = self.distiller.train_step(batch, rate)
        batch_size = int(batch["labels"].shape[0])
        progress.step += 1
        progress.examples_seen += batch_size
        progress.position = int(batch["position"][-1])
        log.count(progress.step, batch_size)
        if progress.step % self.options.log_every_steps == 0:
            place = {
                "step": progress.step,
                "epoch": progress.epoch + 1,
                "learning_rate": rate,
            }
            log.log_step(place, terms, predictions, batch["labels"])

    def _checkpoint_is_due(self) -> bool:
        steps = self.options.checkpoint_every_steps
        if steps and self.progress.step % steps == 0:
            return True
        seconds = 60 * self.options.checkpoint_every_minutes
        return bool(seconds) and time.monotonic() - self._last_save >= seconds

    def _save(self, log: RunLog) -> None:
        log.flush()
        self.directory.save(
            self.groups, self.settings, dataclasses.asdict(self.progress)
        )
        self._last_save = time.monotonic()

    def _validate(self, log: RunLog) -> None:
        """Scores the student and keeps it if it is the best so far."""
        if self.validation is None:
            return
        scores = evaluate_network(
            self.distiller.student,
            self.validation,
            label_loss=self.settings.training.label_loss,
            top_k=self.options.top_k,
        )
        log.log_evaluation(self.progress.step, scores)
        best = self.progress.best_gap
        if best is None or scores["gap"] > best:
            self.progress.best_gap = scores["gap"]
            self.directory.save_best(
                {"student": self.groups["student"]},
                self.settings,
                dataclasses.asdict(self.progress),
            )

    def _limit(self, steps: int) -> int:
        most = self.settings.training.max_steps
        return steps if most is None else min(steps, most)

    def _estimate_steps(self) -> int:
        training = self.settings.training
        records = self.reader.estimate_num_records()
        steps = math.ceil(records / training.batch_size) * training.num_epochs
        return self._limit(steps)


def _build_networks(settings: RunSettings) -> dict[str, Network]:
    """Builds the teacher, if there is one, and the student."""
    return {
        which: build_network(settings.network(which), settings.data, which)
        for which in ("teacher", "student")
        if which == "student" or settings.teacher is not None
    }


def _checkpoint_groups(
    networks: dict[str, Network], optimizer: keras.optimizers.Optimizer
) -> dict[str, dict[str, keras.Variable]]:
    """Returns all variables of a run by group and name."""
    groups = {
        which: weight_names(network.model)
        for which, network in networks.items()
    }
    groups["optimizer"] = optimizer_names(optimizer)
    groups["random_state"] = {
        f"{which}/{name}": variable
        for which, network in networks.items()
        for name, variable in random_state_names(network.model).items()
    }
    return groups


@contextlib.contextmanager
def _catch_signals() -> Iterator[list[signal.Signals]]:
    """Collects Ctrl-C and SIGTERM; a second Ctrl-C interrupts at once."""
    caught: list[signal.Signals] = []

    def catch(number, frame):
        if caught:
            raise KeyboardInterrupt
        caught.append(signal.Signals(number))

    kinds = (signal.SIGINT, signal.SIGTERM)
    previous = {kind: signal.signal(kind, catch) for kind in kinds}
    try:
        yield caught
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)

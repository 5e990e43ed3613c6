"""The training loop: batches to steps, steps to checkpoints, and resuming."""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.evaluation import evaluate_network
from distill.settings import RunSettings
from distill.training.checkpoints import (
    AVERAGE_SUFFIX,
    load_variables,
    read_progress,
)
from distill.training.run_directory import (
    RunDirectory,
    compare_with_checkpoint,
)
from distill.training.run_log import RunLog
from distill.training.run_options import Progress, RunOptions
from distill.training.schedules import learning_rate
from distill.training.signals import catch_signals
from distill.training.trainers import build_trainer


class TrainingRun:
    """One run of a stage that trains, from its settings to its checkpoints.

    Building it checks the settings, finds the files and takes up the run's
    newest checkpoint, if there is one.

    Args:
      settings: What defines the result.
      options: What is written and when.
      export: From a checkpoint to an export and a line that says so; called
        as the options say.

    Raises:
      ValueError: The settings do not fit one another, the files or the
        checkpoint that the run would go on from.
    """

    def __init__(
        self,
        settings: RunSettings,
        options: RunOptions,
        export: Callable[[Path], str] | None = None,
    ):
        self.settings = settings
        self.options = options
        self.export = export
        self.progress = Progress()
        self.directory = RunDirectory(
            options.train_dir, options.keep_checkpoints
        )
        keras.utils.set_random_seed(settings.training.seed)
        self.trainer = build_trainer(settings)
        self.reader = self._make_reader(
            settings.training.train_data_pattern,
            share=settings.training.train_share,
            **self.trainer.reader_options,
        )
        self.validation = (
            self._make_reader(options.eval_data_pattern)
            if options.eval_data_pattern
            and settings.teacher is None
            and self.trainer.student is not None
            else None
        )
        self.messages: list[str] = []
        self._start_or_resume()

    def _make_reader(self, pattern: str, **options: Any) -> VideoReader:
        return VideoReader(
            self.settings.data,
            find_files(pattern),
            self.settings.training.batch_size,
            need_labels=self.settings.autoencoder is None,
            on_bad_record=self.options.on_bad_record,
            **options,
        )

    def _start_or_resume(self) -> None:
        start_new = self.options.start_new_model
        newest = None if start_new else self.directory.newest()
        if newest is not None:
            self._resume(newest)
        else:
            self.messages += self.trainer.load_initial()
        removed = self.directory.start_over() if start_new else []
        if removed:
            self.messages.append(
                f"starting over in {self.directory.path}; removed "
                f"{', '.join(removed)}"
            )
        self.directory.prepare(self.settings)

    def _resume(self, checkpoint: Path) -> None:
        changed = compare_with_checkpoint(checkpoint, self.settings)
        for group, variables in self.trainer.groups.items():
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
            self.directory.path,
            self.progress.step,
            self._estimate_steps(),
            epoch_is_done=self.progress.position == 0,
            quiet=self.options.quiet,
        )
        with log, catch_signals() as caught:
            for message in self.messages:
                log.say(message)
            if self.finished:
                log.say(
                    f"nothing to do: step {self.progress.step} is the last; "
                    "raise --num_epochs (or --max_steps) to train on"
                )
                return True
            self._last_save, self._saved_step = time.monotonic(), None
            while not self.finished and not caught:
                self._train_epoch(log, caught)
            if caught:
                if self._saved_step != self.progress.step:
                    self._save(log)
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
        for batch in log.time_waiting(batches):
            self._train_step(batch, log)
            if self._export_is_due():
                log.say(self.export(self._save(log)))
            if self.finished:
                self._validate(log)
                break
            if caught:
                break
            if self._checkpoint_is_due():
                self._save(log)
        else:
            self.progress.epoch += 1
            self.progress.position = 0
            steps_an_epoch = math.ceil(self.progress.step / self.progress.epoch)
            log.set_total(self._limit(steps_an_epoch * training.num_epochs))
            self._validate(log)
        if self.options.checkpoint_every_epoch or self.finished or caught:
            self._save(log)

    def _train_step(self, batch: dict[str, Any], log: RunLog) -> None:
        progress = self.progress
        rate = learning_rate(self.settings.training, progress.examples_seen)
        terms, predictions = self.trainer.train_step(
            batch, rate, self._share_done()
        )
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
            if "label_weights" in batch:
                # What nobody rated ranks below all that is rated.
                rated = batch["label_weights"].numpy()
                predictions = {w: p * rated for w, p in predictions.items()}
            log.log_step(place, terms, predictions, batch["labels"])

    def _share_done(self) -> float:
        """Returns how far the run has come: 0 in the first epoch, 1 last."""
        last = self.settings.training.num_epochs - 1
        return self.progress.epoch / last if last else 0.0

    def _checkpoint_is_due(self) -> bool:
        steps = self.options.checkpoint_every_steps
        if steps and self.progress.step % steps == 0:
            return True
        seconds = 60 * self.options.checkpoint_every_minutes
        return bool(seconds) and time.monotonic() - self._last_save >= seconds

    def _export_is_due(self) -> bool:
        steps = self.options.export_model_steps
        return bool(self.export and steps) and not self.progress.step % steps

    def _save(self, log: RunLog) -> Path:
        log.flush()
        path = self.directory.save(
            self.trainer.groups,
            self.settings,
            dataclasses.asdict(self.progress),
        )
        self._last_save = time.monotonic()
        self._saved_step = self.progress.step
        return path

    def _validate(self, log: RunLog) -> None:
        """Scores the student and keeps it if it is the best so far."""
        if self.validation is None:
            return
        scores = evaluate_network(
            self.trainer.student,
            self.validation,
            label_loss=self.settings.training.label_loss,
            top_k=self.options.top_k,
        )
        log.log_evaluation(self.progress.step, scores)
        best = self.progress.best_gap
        if best is None or scores["gap"] > best:
            self.progress.best_gap = scores["gap"]
            self.directory.save_best(
                {
                    name: group
                    for name, group in self.trainer.groups.items()
                    if name in ("student", "student" + AVERAGE_SUFFIX)
                },
                self.settings,
                dataclasses.asdict(self.progress),
            )

    def _limit(self, steps: int) -> int:
        most = self.settings.training.max_steps
        return steps if most is None else min(steps, most)

    def _estimate_steps(self) -> int:
        training = self.settings.training
        examples = self.reader.estimate_num_examples()
        steps = math.ceil(examples / training.batch_size) * training.num_epochs
        return self._limit(steps)

"""The training loop: batches to steps, steps to checkpoints, and resuming."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from distill.checkpoints.checkpoint import NonFiniteError
from distill.checkpoints.finite import check_finite, check_terms
from distill.checkpoints.progress import Progress
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.distributed.workers import Workers
from distill.evaluation.evaluate import evaluate_network
from distill.evaluation.shared_reading import SharedReading
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.system.signals import catch_signals
from distill.training.micro_batches import MicroBatchPlan, join_predictions
from distill.training.optimizers import learning_rate
from distill.training.run_directory import RunDirectory
from distill.training.run_log import RunLog
from distill.training.run_state import RunState
from distill.training.streams import EpochReader, StepBatch
from distill.training.trainers import build_trainer, load_initial_weights


class TrainingRun:
    """One run of a stage that trains, from its settings to its checkpoints.

    The constructor checks the settings, finds the files and loads the newest
    checkpoint of the run's directory, if any.

    Args:
      settings: All that defines the result.
      options: Output of the run: checkpoints, logs, exports.
      export: From a checkpoint's path to an export and a line for the log;
        called every `options.export_model_steps`.
      workers: The processes that share the run; the chief alone writes.

    Raises:
      ValueError: The settings do not fit one another, the files or the
        checkpoint to resume from.
    """

    def __init__(
        self,
        settings: RunSettings,
        options: RunOptions,
        export: Callable[[Path], str] | None = None,
        workers: Workers | None = None,
    ):
        self.settings = settings
        self.options = options
        self.export = export
        self.workers = workers or Workers()
        self.messages: list[str] = []
        with self.workers.report_lost_worker():
            self._build()

    def _build(self) -> None:
        settings, options = self.settings, self.options
        training = settings.training
        self.directory = RunDirectory(
            options.train_dir,
            options.keep_checkpoints,
            is_writer=self.workers.is_chief,
        )
        keras.utils.set_random_seed(training.seed)
        with self.workers.scope():
            self.trainer = build_trainer(settings)
        self.state = RunState(
            settings, self.directory, self.trainer.groups, self.workers
        )
        self.plan = MicroBatchPlan(
            training.accumulate_steps,
            self.workers.num_replicas,
            self.workers.num_workers,
            self.workers.rank,
        )
        self.reader = self._make_reader(
            training.train_data_pattern,
            share=training.train_share,
            **self.trainer.reader_options,
        )
        self.validation = None
        is_student_alone = (
            settings.student is not None and settings.teacher is None
        )
        if options.eval_data_pattern and is_student_alone:
            self.validation = self._make_reader(options.eval_data_pattern)
        self.epochs = EpochReader(self.reader, self.workers, options.shard_by)
        with self.directory.keep_locked():
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
            self.messages += self.state.resume(newest)
        else:
            self.messages += load_initial_weights(self.settings, self.trainer)
        self.workers.check_equal(
            self.progress.step,
            "The workers would go on from different steps: --train_dir="
            f"{self.directory.path} must be one directory of all machines.",
        )
        if not self.workers.is_chief:
            return
        removed = self.directory.start_over() if start_new else []
        if removed:
            self.messages.append(
                f"starting over in {self.directory.path}; removed "
                f"{', '.join(removed)}"
            )
        self.directory.prepare(self.settings)

    @property
    def progress(self) -> Progress:
        """Steps, epochs and examples that the run has made."""
        return self.state.progress

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
          False if a signal (Ctrl-C, SIGTERM) stopped the run early, after its
          state was saved.
        """
        log = RunLog(
            self.directory.path if self.workers.is_chief else None,
            self.progress.step,
            self._estimate_steps(),
            epoch_is_done=not any(self.progress.positions),
            quiet=self.options.quiet,
        )
        with (
            self.directory.locked(),
            log,
            catch_signals() as caught,
            self.workers.exit_barrier(),
        ):
            for message in self.messages:
                log.say(message)
            if self.finished:
                log.say(
                    f"nothing to do: step {self.progress.step} is the last; "
                    "raise --num_epochs (or --max_steps) to train on"
                )
                return True
            interrupted = self._train_epochs(log, caught)
            # No worker may go on before the chief's files are there.
            self.workers.wait()
            return not interrupted

    def _train_epochs(self, log: RunLog, caught: list) -> bool:
        """Trains to the end of the run; returns whether a signal stopped it."""
        interrupted = False
        while not self.finished and not interrupted:
            try:
                interrupted = self._train_epoch(log, caught)
            except NonFiniteError as error:
                log.say(self.state.recover(error, self.options.on_nan))
        if interrupted:
            if self.state.saved_step != self.progress.step:
                self._save(log)
            name = caught[0].name if caught else "another worker"
            log.say(
                f"stopped by {name} after step {self.progress.step}, which "
                "is saved; run the same command to go on"
            )
        return interrupted

    def _train_epoch(self, log: RunLog, caught: list) -> bool:
        """Trains to the end of the epoch, the last step or a signal.

        Returns:
          Whether this process or another worker received a signal.
        """
        training = self.settings.training
        interrupted = False
        batches = self.epochs.read(
            training.seed,
            self.progress.epoch,
            training.shuffle_buffer_size,
            self.progress.positions,
            caught,
        )
        for batch in log.time_waiting(batches):
            self._train_step(batch, log)
            if self.export is not None and self._export_is_due():
                path = self._save(log)
                if path is not None:
                    log.say(self.export(path))
            if self.finished:
                self._validate(log)
                break
            # Several workers stop at the same step: the batch says so to all.
            several = self.workers.num_workers > 1
            interrupted = batch.interrupted if several else bool(caught)
            if interrupted:
                break
            if self._checkpoint_is_due():
                self._save(log)
        else:
            self.progress.epoch += 1
            self.progress.positions = ()
            steps_an_epoch = math.ceil(self.progress.step / self.progress.epoch)
            log.set_total(self._limit(steps_an_epoch * training.num_epochs))
            self._validate(log)
        every_epoch = self.options.checkpoint_every_epoch
        if every_epoch or self.finished or interrupted:
            self._save(log)
        return interrupted

    def _train_step(self, batch: StepBatch, log: RunLog) -> None:
        progress = self.progress
        rate = learning_rate(self.settings.training, progress.examples_seen)
        micro_batches = self.plan.divide(
            self.trainer.prepare(batch.batch),
            batch.counts,
            is_shared=batch.is_shared,
        )
        terms, predictions = self.trainer.step(
            micro_batches, rate, self._schedule_position()
        )
        progress.positions = tuple(batch.positions)
        check_terms(terms, progress.step + 1)
        progress.step += 1
        progress.examples_seen += batch.num_examples
        log.count(progress.step, batch.num_examples)
        if progress.step % self.options.log_every_steps == 0:
            place = {
                "step": progress.step,
                "epoch": progress.epoch + 1,
                "learning_rate": rate,
            }
            flat = [each for step in micro_batches for each in step]
            log.log_step(place, terms, *join_predictions(flat, predictions))

    def _schedule_position(self) -> float:
        """Returns 0 in the first epoch, 1 in the last one."""
        last = self.settings.training.num_epochs - 1
        return self.progress.epoch / last if last else 0.0

    def _checkpoint_is_due(self) -> bool:
        steps = self.options.checkpoint_every_steps
        if steps and self.progress.step % steps == 0:
            return True
        minutes = self.options.checkpoint_every_minutes
        return bool(minutes) and self.state.minutes_since_save() >= minutes

    def _export_is_due(self) -> bool:
        steps = self.options.export_model_steps
        return bool(steps) and self.progress.step % steps == 0

    def _save(self, log: RunLog) -> Path | None:
        log.flush()
        return self.state.save()

    def _validate(self, log: RunLog) -> None:
        """Scores the student and keeps it if it is the best so far."""
        network = self.trainer.result
        if self.validation is None or network is None:
            return
        check_finite(self.trainer.groups)
        scores = evaluate_network(
            network,
            self.validation,
            label_loss=self.settings.training.label_loss,
            top_k=self.options.top_k,
            sharing=SharedReading(
                self.workers, self.options.shard_by == "batch"
            ),
        )
        log.log_evaluation(self.progress.step, scores)
        self.state.save_if_best(scores["gap"])

    def _limit(self, steps: int) -> int:
        return min(steps, self.settings.training.max_steps or steps)

    def _estimate_steps(self) -> int:
        training = self.settings.training
        steps = self.reader.estimate_num_examples() / training.batch_size
        return self._limit(math.ceil(steps) * training.num_epochs)

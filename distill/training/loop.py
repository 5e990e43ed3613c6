"""The training loop: batches to steps, steps to checkpoints, and resuming."""

import functools
import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from distill.checkpoints.finite import (
    NonFiniteError,
    check_finite,
    check_terms,
)
from distill.checkpoints.progress import Progress
from distill.data.bootstrap import bootstrap_key
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.distributed.workers import Workers
from distill.evaluation.evaluate import evaluate_networks
from distill.evaluation.shared_reading import SharedReading
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.system.signals import catch_signals
from distill.training.agreement import check_agreement
from distill.training.initial_weights import load_initial_weights
from distill.training.micro_batches import (
    Batch,
    MicroBatchPlan,
    join_predictions,
)
from distill.training.optimizers import learning_rate
from distill.training.run_callbacks import RunCallbacks
from distill.training.run_display import RunDisplay
from distill.training.run_header import RunHeader
from distill.training.run_inputs import RunFiles
from distill.training.run_log import RunLog
from distill.training.run_state import RunState
from distill.training.streams import EpochReader, StepBatch
from distill.training.trainers import build_trainer


class Step(NamedTuple):
    """A step: its learning rate, micro-batches, and what its networks gave.

    Attributes:
      rate: The learning rate.
      micro_batches: By accumulation step and replica.
      terms: The terms of the loss, with `loss`.
      predictions: Those of each micro-batch.
    """

    rate: float
    micro_batches: list[list[Batch]]
    terms: dict[str, Any]
    predictions: Any


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
      callbacks: Objects of the form of `keras.callbacks.Callback`; see
        `distill.training.run.train`.

    Attributes:
      signal: The signal that came to this process while it trained, if any.

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
        callbacks: Sequence[Any] = (),
    ):
        self.settings = settings
        self.options = options
        self.export = export
        self.workers = workers or Workers()
        self.signal: signal.Signals | None = None
        with self.workers.report_lost_worker():
            self._build()
        self.callbacks = RunCallbacks(
            callbacks, self.trainer.models[-1], self.trainer.optimizer
        )

    def _build(self) -> None:
        settings, options = self.settings, self.options
        training = settings.training
        check_agreement(self.workers, settings, options)
        keras.utils.set_random_seed(training.seed)
        with self.workers.scope():
            self.trainer = build_trainer(settings)
        self.plan = MicroBatchPlan(
            training.accumulate_steps,
            self.workers.num_replicas,
            self.workers.num_workers,
            self.workers.rank,
        )
        self.reader = self._make_reader(
            training.train_data_pattern,
            share=training.train_share,
            bootstrap_key=(
                bootstrap_key(training.seed) if training.bootstrap else None
            ),
            bucket_by_length=training.bucket_by_length,
            **self.trainer.reader_options,
        )
        self.validation = None
        if options.eval_data_pattern and self.trainer.results:
            self.validation = self._make_reader(options.eval_data_pattern)
        elif options.patience:
            raise ValueError(
                f"patience={options.patience} is for networks that are scored "
                "against labels, not for an autoencoder."
            )
        self.epochs = EpochReader(self.reader, self.workers, options.shard_by)
        self.state = RunState(
            settings,
            options.train_dir,
            self.trainer.groups,
            RunFiles(settings, self.reader, self.validation, options.top_k),
            options.keep_checkpoints,
            self.workers.is_chief,
        )
        with self.state.keep_locked():
            self._start_or_resume()
        if options.eval_data_pattern and self.validation is None:
            self.messages.append(
                "--eval_data_pattern is not used: an autoencoder is trained "
                "without labels"
            )

    def _make_reader(self, pattern: str, **options: Any) -> VideoReader:
        return VideoReader(
            self.settings.data,
            find_files(pattern),
            self.settings.training.batch_size,
            need_labels=self.settings.autoencoder is None,
            on_bad_record=self.options.on_bad_record,
            min_frames=self.settings.training.min_frames,
            **options,
        )

    def _start_or_resume(self) -> None:
        start_new = self.options.start_new_model
        newest = None if start_new else self.state.newest()
        self.messages = (
            load_initial_weights(self.settings, self.trainer)
            if newest is None
            else self.state.resume(newest, self.options.accept_changed_files)
        )
        self.workers.check_equal(
            self.state.files.inputs.number(),
            "The workers read different files: names and sizes of the data, "
            "and the contents of other files, must be the same on all "
            "machines.",
        )
        self.workers.check_equal(
            self.progress.step,
            "The workers would go on from different steps: --train_dir="
            f"{self.state.directory} must be one directory of all machines.",
        )
        if not self.workers.is_chief:
            return
        if start_new and (removed := ", ".join(self.state.start_over())):
            start = f"starting over in {self.state.directory}"
            self.messages.append(f"{start}; removed {removed}")
        self.state.prepare_directory()

    @functools.cached_property
    def _num_examples(self) -> int:
        """The estimated number of examples of an epoch."""
        return self.reader.estimate_num_examples()

    @property
    def progress(self) -> Progress:
        """Steps, epochs and examples that the run has made."""
        return self.state.progress

    @property
    def finished(self) -> bool:
        """Whether all epochs or steps have been made, or patience is over."""
        return self._made_all_steps or self._patience_is_over

    @property
    def ending(self) -> str:
        """The reason of the end: `complete`, `patience`, `callback`, `signal`.

        It is of a run that is over. A signal that came to another worker
        counts.
        """
        if self.finished:
            return "complete" if self._made_all_steps else "patience"
        by_callback = self.callbacks.stop and self.signal is None
        return "callback" if by_callback else "signal"

    @property
    def _made_all_steps(self) -> bool:
        training = self.settings.training
        return self.progress.epoch >= training.num_epochs or (
            training.max_steps is not None
            and self.progress.step >= training.max_steps
        )

    @property
    def _patience_is_over(self) -> bool:
        patience = self.options.patience
        return bool(patience) and self.state.epochs_since_best() >= patience

    def _describe_end(self) -> str:
        """Says why the run is finished, and what would let it go on."""
        if self._made_all_steps:
            return (
                f"step {self.progress.step} is the last; raise --num_epochs "
                "(or --max_steps) to train on"
            )
        return (
            f"the best GAP, {self.progress.best_gap:.4f}, is that of epoch "
            f"{self.progress.best_epoch} of {self.progress.epoch}; raise "
            "--patience to train on"
        )

    def train(self) -> bool:
        """Trains to the end.

        Returns:
          False if a signal (Ctrl-C, SIGTERM) or a callback stopped the run
          early, after its state was saved.
        """
        header = self._describe()
        log = RunLog(
            self.state.directory if self.workers.is_chief else None,
            self.progress.step,
            RunDisplay(
                self.progress.step,
                header.num_steps,
                self.settings.training.num_epochs,
                examples=header.examples,
                show_terms=self.options.show_terms,
                quiet=self.options.quiet or not self.workers.is_chief,
            ),
            epoch_is_done=not any(self.progress.positions),
        )
        with (
            self.state.locked(),
            log,
            catch_signals() as caught,
            self.workers.exit_barrier(),
        ):
            log.log_settings(self.settings.by_name())
            for message in self.messages:
                log.say(message)
            if self.finished:
                log.say(f"nothing to do: {self._describe_end()}")
                return True
            for line in header.lines():
                log.say(line)
            an_epoch = header.num_steps // self.settings.training.num_epochs
            self.callbacks.begin(self.settings.training.num_epochs, an_epoch)
            interrupted = self._train_epochs(log, caught)
            self.callbacks.call("on_train_end", {})
            self.signal = caught[0] if caught else None
            if self._patience_is_over and not self._made_all_steps:
                log.say(f"stopped early: {self._describe_end()}")
            # No worker may go on before the chief's files are there.
            self.workers.wait()
            return not interrupted

    def _describe(self) -> RunHeader:
        an_epoch = self._num_examples / self.settings.training.batch_size
        return RunHeader(
            self.settings,
            self.options,
            self.trainer,
            self.reader,
            self._num_examples,
            self._estimate_steps(an_epoch),
            self.workers.num_workers * self.workers.num_replicas,
        )

    def _train_epochs(self, log: RunLog, caught: list) -> bool:
        interrupted = False
        while not self.finished and not interrupted:
            try:
                interrupted = self._train_epoch(log, caught)
            except NonFiniteError as error:
                log.say(self.state.recover(error, self.options.on_nan))
        if interrupted:
            if self.state.saved_step != self.progress.step:
                self._save(log)
            name = "a callback" if self.callbacks.stop else "another worker"
            name = caught[0].name if caught else name
            log.say(
                f"stopped by {name} after step {self.progress.step}, which "
                "is saved; run the same command to go on"
            )
        return interrupted

    def _train_epoch(self, log: RunLog, caught: list) -> bool:
        """Returns whether a signal or a callback stops the run."""
        options = self.options
        interrupted = False
        self.callbacks.begin_epoch(self.progress.epoch)
        for batch in log.time_waiting(self.read_epoch(caught)):
            self._train_step(batch, log)
            if self.export and self._is_due(options.export_model_steps):
                path = self._save(log)
                if path is not None:
                    log.say(self.export(path))
            if self.finished:
                break
            # Several workers stop at the same step: the batch tells them all.
            several = self.workers.num_workers > 1
            interrupted = batch.interrupted if several else bool(caught)
            interrupted = interrupted or self.callbacks.stop
            if interrupted:
                break
            if self._is_due(
                options.checkpoint_every_steps, options.checkpoint_every_minutes
            ):
                self._save(log)
        else:
            self.progress.epoch += 1
            self.progress.positions = ()
            an_epoch = self.progress.step / self.progress.epoch
            log.set_total(self._estimate_steps(an_epoch))
        if not interrupted:
            self._end_epoch(log)
            interrupted = self.callbacks.stop and not self.finished
        if options.checkpoint_every_epoch or self.finished or interrupted:
            self._save(log)
        return interrupted

    def read_epoch(self, caught: list) -> Iterator[StepBatch]:
        """Yields the batches that are left of the epoch.

        `caught` are the signals that this process has received.
        """
        training = self.settings.training
        return self.epochs.read(
            training.seed,
            self.progress.epoch,
            training.shuffle_buffer_size,
            self.progress.positions,
            caught,
        )

    def step(self, batch: StepBatch) -> Step:
        """Trains on a batch and counts the step.

        Raises:
          NonFiniteError: A term of the loss is not finite.
        """
        progress = self.progress
        rate = learning_rate(
            self.settings.training, progress.examples_seen, self._run_share()
        )
        micro_batches = self.plan.divide(
            self.trainer.prepare(batch.batch),
            batch.counts,
            is_shared=batch.is_shared,
        )
        last_epoch = self.settings.training.num_epochs - 1
        run_position = progress.epoch / last_epoch if last_epoch else 0.0
        terms, predictions = self.trainer.step(
            micro_batches,
            rate,
            run_position,
            self._is_drawn(progress.step + 1),
        )
        progress.positions = tuple(batch.positions)
        check_terms(terms, progress.step + 1)
        progress.step += 1
        progress.examples_seen += batch.num_examples
        return Step(rate, micro_batches, terms, predictions)

    def _train_step(self, batch: StepBatch, log: RunLog) -> None:
        self.callbacks.begin_step()
        progress = self.progress
        rate, micro_batches, terms, predictions = self.step(batch)
        step, epoch = progress.step, progress.epoch + 1
        log.count(step, epoch, batch.num_examples, float(terms["loss"]))
        self.callbacks.end_step(terms)
        is_logged = step % self.options.log_every_steps == 0
        if is_logged or not log.has_scores:
            flat = [each for step in micro_batches for each in step]
            scored = join_predictions(flat, predictions)
            if is_logged:
                place = {"step": step, "epoch": epoch, "learning_rate": rate}
                log.log_step(place, terms, *scored)
            else:
                log.score(*scored)
        if self._is_drawn(step) and self.workers.is_chief:
            trained = self.trainer.trained()
            log.log_histograms(step, trained, self.trainer.gradients)

    def _is_drawn(self, step: int) -> bool:
        """Returns whether a step has histograms."""
        every_steps = self.options.histogram_every_steps
        return bool(every_steps) and step % every_steps == 0

    def _is_due(self, every_steps: int, every_minutes: float = 0.0) -> bool:
        if every_steps and self.progress.step % every_steps == 0:
            return True
        minutes = self.state.minutes_since_save()
        return bool(every_minutes) and minutes >= every_minutes

    def _save(self, log: RunLog) -> Path | None:
        log.flush()
        return self.state.save()

    def _run_share(self) -> float:
        """Returns the share of the run that has been made, from 0 to 1.

        The number of examples is estimated. So the share counts whole epochs,
        and the estimate matters within an epoch alone.
        """
        training, progress = self.settings.training, self.progress
        read = sum(progress.positions) / max(self._num_examples, 1)
        share = (progress.epoch + min(read, 1.0)) / training.num_epochs
        if training.max_steps is not None:
            share = max(share, progress.step / training.max_steps)
        return share

    def _end_epoch(self, log: RunLog) -> None:
        scores = self._validate(log)
        self.callbacks.end_epoch(log.epoch_loss, scores)
        log.end_epoch()

    def _validate(self, log: RunLog) -> Mapping[str, Mapping[str, Any]]:
        """Scores the networks and keeps them if the student is the best.

        The network of a run on labels alone, such as a teacher's, is its
        student. The student of a mimic run is scored under its copy of the
        teacher's classifier: better scores there mean a better embedding, the
        thing that is trained.

        Returns:
          The scores by role; none without validation data.
        """
        if self.validation is None:
            return {}
        check_finite(self.trainer.groups)
        log.start_validation()
        by_batch = self.options.shard_by == "batch"
        scores = evaluate_networks(
            self.trainer.results,
            self.validation,
            label_loss=self.settings.training.label_loss,
            top_k=self.options.top_k,
            sharing=SharedReading(self.workers, by_batch),
        )
        log.log_evaluation(self.progress.step, scores)
        self.state.save_if_best(scores["student"]["gap"])
        return scores

    def _estimate_steps(self, an_epoch: float) -> int:
        """Returns the steps of the run for a number of steps an epoch."""
        training = self.settings.training
        steps = math.ceil(an_epoch) * training.num_epochs
        return min(steps, training.max_steps or steps)

"""A run of training as a call of Python, and its result."""

import dataclasses
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.checkpoints.checkpoint import BEST_NAME
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.training.loop import TrainingRun


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """The result of a training run.

    Attributes:
      directory: The run's directory.
      checkpoint: Its newest checkpoint, which holds all networks.
      best: The checkpoint of the best validation GAP; None where the run was
        not validated.
      best_gap: That GAP, from 0 to 1.
      history: The logs of each epoch of this call by name, as
        `keras.callbacks.History` has them; the epochs, from 0, are `epoch`.
        `train` lists the names.
      ending: The reason of the end: `complete` (all epochs or steps are made),
        `patience`, `callback`, or `signal`.
    """

    directory: Path
    checkpoint: Path
    best: Path | None
    best_gap: float | None
    history: Mapping[str, list[float]]
    ending: str

    @classmethod
    def of(cls, run: TrainingRun) -> "TrainingResult":
        """Returns the result of a run that is over."""
        directory, gap = run.state.directory, run.progress.best_gap
        return cls(
            directory,
            run.state.newest() or directory,
            None if gap is None else directory / BEST_NAME,
            gap,
            run.callbacks.history,
            run.ending,
        )


def train(
    settings: RunSettings,
    options: RunOptions,
    callbacks: Sequence[Any] = (),
    *,
    export: Callable[[Path], str] | None = None,
) -> TrainingResult:
    """Trains a student beside its teacher, from trained ones or on labels.

    It is the run of `distill train`, bit for bit; called again after a stop,
    it goes on. It prints a header, a bar (on a terminal) and a line an epoch
    unless `options.quiet`. TensorFlow computes on one device, as the caller
    set it up; the seeds of Python, NumPy and Keras are set. At Ctrl-C,
    SIGTERM or SIGHUP the state is saved after the step; then the signal goes
    to the caller's own handler, so Ctrl-C raises KeyboardInterrupt. Python
    handles signals in the main thread alone: in others, a callback can stop.

    Args:
      settings: All that defines the result: `teacher` and `distillation` for
        a joint run, `teacher_checkpoints` and `distillation` for trained
        teachers, neither for labels alone.
      options: Directory, checkpoints and log. With `eval_data_pattern` every
        epoch is validated, and the best networks are kept as `best.h5`.
      callbacks: `keras.callbacks.Callback`s, or objects with some of their
        methods for training. Their model is the student's (or the
        autoencoder); `model.stop_training = True` stops after the step or
        epoch, which is saved. `on_train_batch_end` gets the terms of the
        `loss`; `on_epoch_end` the mean `loss` and, with validation, the
        student's `val_gap`, `val_hit_at_one`, `val_perr`, `val_loss`,
        `val_mean_average_precision` and the teacher's, as `val_teacher_gap`.
      export: Called with a checkpoint every `options.export_model_steps`,
        such as a `StepExport`; returns a line for the log.

    Returns:
      Directory, checkpoints, scores of the epochs and the reason of the end.

    Raises:
      ValueError: The settings do not fit one another or the files, a record
        is bad, or the loss is not finite.

    Examples:
      >>> logistic = "FrameLevelLogisticModel"
      >>> settings = distill.RunSettings(
      ...     data=packed.schema,
      ...     teacher=distill.network(logistic),
      ...     student=distill.network(logistic, every_n=5),
      ...     training=distill.TrainingSettings("runs/packed/train-*"),
      ...     distillation=distill.DistillationSettings(),
      ... )
      >>> options = distill.RunOptions("runs/joint", quiet=True)
      >>> distill.train(settings, options).ending
      'complete'
    """
    _check_export(options, export)
    run = TrainingRun(settings, options, export, callbacks=callbacks)
    run.train()
    if run.signal is not None:
        signal.raise_signal(run.signal)
    return TrainingResult.of(run)


def _check_export(options: RunOptions, export: Any) -> None:
    if options.export_model_steps and export is None:
        raise ValueError(
            f"export_model_steps={options.export_model_steps} needs `export`, "
            "such as StepExport(settings, pattern, class_names)."
        )

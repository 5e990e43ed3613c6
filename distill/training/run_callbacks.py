"""Callbacks of Keras's form, called by the training loop."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

# Numbers of an evaluation that are about its data or its cost.
_NOT_LOGGED = {
    "examples_per_second",
    "frames",
    "frames_needed",
    "macs",
    "num_segments",
    "num_videos",
    "parameters",
    "top_k",
}


class RunCallbacks:
    """Calls the methods of callbacks that have them, and keeps the history.

    Args:
      callbacks: Objects with some of the methods of
        `keras.callbacks.Callback`.
      model: The network that trains and is kept. A callback stops the run by
        `model.stop_training = True`.
      optimizer: The optimiser, which callbacks find as `model.optimizer`.

    Attributes:
      history: The logs of the epochs of this call: a list by name, with the
        numbers of the epochs, from 0, as `epoch`.
    """

    def __init__(
        self,
        callbacks: Sequence[Any],
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
    ):
        self._callbacks = tuple(callbacks)
        self._model = model
        self._epoch = self._batch = 0
        self.history: dict[str, list[float]] = {}
        model.stop_training = False
        if callbacks:
            model.optimizer = optimizer

    @property
    def stop(self) -> bool:
        """Whether a callback asks the run to stop."""
        return bool(self._model.stop_training)

    def call(self, method: str, *arguments: Any) -> None:
        """Calls a method of every callback that has it."""
        for callback in self._callbacks:
            if hasattr(callback, method):
                getattr(callback, method)(*arguments)

    def begin(self, num_epochs: int, num_steps: int) -> None:
        """Begins the run, of estimated steps an epoch."""
        parameters = {"epochs": num_epochs, "steps": num_steps, "verbose": 0}
        self.call("set_params", parameters)
        self.call("set_model", self._model)
        self.call("on_train_begin", {})

    def begin_epoch(self, epoch: int) -> None:
        """Begins an epoch, counted from 0."""
        self._epoch, self._batch = epoch, 0
        self.call("on_epoch_begin", epoch, {})

    def begin_step(self) -> None:
        """Begins a step, counted from 0 in each epoch of this call."""
        self.call("on_train_batch_begin", self._batch, {})

    def end_step(self, terms: Mapping[str, Any]) -> None:
        """Ends a step with the terms of its loss, scalar tensors."""
        if self._callbacks:
            logs = {name: float(value) for name, value in terms.items()}
            self.call("on_train_batch_end", self._batch, logs)
        self._batch += 1

    def end_epoch(
        self, loss: float, scores: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Ends an epoch with its mean loss and the scores of the networks."""
        logs = {"loss": loss}
        for role, network in scores.items():
            prefix = "val_" if role == "student" else f"val_{role}_"
            logs |= {
                prefix + name: float(value)
                for name, value in network.items()
                if isinstance(value, int | float) and name not in _NOT_LOGGED
            }
        for name, value in {"epoch": self._epoch, **logs}.items():
            self.history.setdefault(name, []).append(value)
        self.call("on_epoch_end", self._epoch, logs)

"""The processes and devices that share a run, and what they tell each other.

On one device or several GPUs there is one process. Several machines run one
process each, which TF_CONFIG tells of one another.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from distill.distributed.tracing import BatchPolymorphicFunction

# What an operation raises whose peer is gone, and those after it.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class WorkerLostError(OSError):
    """Another worker of the run is gone."""


@dataclasses.dataclass(frozen=True)
class Workers:
    """This process among those of a run.

    Attributes:
      strategy: TensorFlow's, under whose scope variables are made.
      index: Number of this process, from 0; the first is the chief.
      count: How many processes there are.
      num_replicas: Devices of each that compute at once.
    """

    strategy: tf.distribute.Strategy = dataclasses.field(
        default_factory=tf.distribute.get_strategy
    )
    index: int = 0
    count: int = 1
    num_replicas: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether it is this process that writes."""
        return self.index == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns the scope under which variables are made."""
        return self.strategy.scope()

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum of an array over the workers.

        Args:
          values: Integers or floats, of one shape everywhere; summed as int64
            or float64.
        """
        values = np.asarray(values)
        if self.count == 1:
            return values
        kind = np.float64 if values.dtype.kind == "f" else np.int64
        add = self._sum_graphs[kind]
        summed = add(tf.constant(values.reshape(-1), kind)).numpy()
        return summed.reshape(values.shape).astype(values.dtype)

    @functools.cached_property
    def _sum_graphs(self):
        def contribute(values):
            context = tf.distribute.get_replica_context()
            is_first = context.replica_id_in_sync_group % self.num_replicas == 0
            own = tf.where(is_first, values, tf.zeros_like(values))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

        def add(values):
            summed = self.strategy.run(contribute, args=(values,))
            return self.strategy.experimental_local_results(summed)[0]

        return {
            kind: tf.function(
                add,
                input_signature=[tf.TensorSpec([None], kind)],
                autograph=False,
            )
            for kind in (np.int64, np.float64)
        }

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """Returns the arrays of all workers.

        Args:
          values: `[n, ...]`, where n may be another on each worker.
        """
        values = np.asarray(values)
        if self.count == 1:
            return [values]
        sizes = np.zeros(self.count, np.int64)
        sizes[self.index] = len(values)
        ends = np.cumsum(self.sum(sizes))
        # A sum of arrays that are zeros where the others' values are.
        kind = np.uint8 if values.dtype == bool else values.dtype
        gathered = np.zeros((ends[-1], *values.shape[1:]), kind)
        start = ends[self.index] - len(values)
        gathered[start : ends[self.index]] = values
        summed = self.sum(gathered).astype(values.dtype)
        return np.split(summed, ends[:-1])

    def wait(self) -> None:
        """Waits until all workers have come here."""
        self.sum(np.zeros(1, np.int64))

    def check_equal(self, value: int, message: str) -> None:
        """Checks that a number is the same on all workers.

        Raises:
          ValueError: It is not; with the message and the numbers.
        """
        values = [int(v[0]) for v in self.gather(np.array([value]))]
        if len(set(values)) > 1:
            listed = ", ".join(map(str, values))
            raise ValueError(f"{message} (by worker: {listed})")

    def on_replicas(
        self, predict: Callable[[Any], tf.Tensor]
    ) -> BatchPolymorphicFunction:
        """Returns a function of a batch that all devices here take a part of.

        Args:
          predict: From a nest of tensors whose first axis is the batch to one
            such tensor; its variables were made under the strategy's scope.
        """
        count = self.num_replicas

        def run(batch):
            size = tf.shape(tf.nest.flatten(batch)[0])[0]
            bounds = [size * r // count for r in range(count + 1)]
            parts = [
                tf.nest.map_structure(lambda t, a=a, b=b: t[a:b], batch)
                for a, b in zip(bounds, bounds[1:], strict=False)
            ]
            part = self.strategy.experimental_distribute_values_from_function(
                lambda context: parts[context.replica_id_in_sync_group % count]
            )
            predicted = self.strategy.run(predict, args=(part,))
            return tf.concat(
                self.strategy.experimental_local_results(predicted), axis=0
            )

        return BatchPolymorphicFunction(run)

    @contextlib.contextmanager
    def exit_barrier(self) -> Iterator[None]:
        """Does work that is shared, and ends when all workers have done it.

        A sum is done for one worker before the others have received all that
        it sent: if it ended then, they would fail. So there is one more sum,
        of which nothing depends: where it fails, another has gone after it had
        done everything.

        Raises:
          WorkerLostError: Another worker is gone before the work is done.
        """
        with self.report_lost_worker():
            yield
        with contextlib.suppress(*_LOST):
            self.wait()

    @contextlib.contextmanager
    def report_lost_worker(self) -> Iterator[None]:
        """Says clearly that another worker is gone, where an operation fails.

        Raises:
          WorkerLostError: In place of TensorFlow's own errors.
        """
        try:
            yield
        except _LOST as error:
            if self.count == 1:
                raise
            raise WorkerLostError(
                f"worker {self.index} of {self.count}: another worker is gone "
                "or cannot be reached; start all workers again, and they go on "
                f"from the last checkpoint. ({_say_shortly(error)})"
            ) from error


def _say_shortly(error: tf.errors.OpError) -> str:
    """Returns the line of a graph's error that says what happened."""
    lines = str(error.message).splitlines()
    mark = "aborted by: "
    found = [line.split(mark)[-1] for line in lines if mark in line]
    return (found or lines or ["no reason given"])[0]

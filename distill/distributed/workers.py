"""The processes and devices that share a run, and their collective operations.

One device or several GPUs need one process. Several machines run one process
each; TF_CONFIG tells each of the others.
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from distill.distributed.tracing import BatchPolymorphicFunction

# Errors of an operation whose peer is gone, and of the operations after it.
_PEER_LOST_ERRORS = (
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
      rank: Number of this process, from 0; the first is the chief.
      num_workers: Number of processes.
      num_replicas: Devices of each process that compute at once.
    """

    strategy: tf.distribute.Strategy = dataclasses.field(
        default_factory=tf.distribute.get_strategy
    )
    rank: int = 0
    num_workers: int = 1
    num_replicas: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

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
        if self.num_workers == 1:
            return values
        kind = np.float64 if values.dtype.kind == "f" else np.int64
        add = self._sum_graphs[kind]
        summed = add(tf.constant(values.reshape(-1), kind)).numpy()
        return summed.reshape(values.shape).astype(values.dtype)

    @functools.cached_property
    def _sum_graphs(self) -> dict[type, Callable[[tf.Tensor], tf.Tensor]]:
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
          values: `[n, ...]`, where n may differ between workers.
        """
        values = np.asarray(values)
        if self.num_workers == 1:
            return [values]
        sizes = np.zeros(self.num_workers, np.int64)
        sizes[self.rank] = len(values)
        ends = np.cumsum(self.sum(sizes))
        # A sum of arrays that are zeros where the others' values are.
        kind = np.uint8 if values.dtype == bool else values.dtype
        gathered = np.zeros((ends[-1], *values.shape[1:]), kind)
        start = ends[self.rank] - len(values)
        gathered[start : ends[self.rank]] = values
        summed = self.sum(gathered).astype(values.dtype)
        return np.split(summed, ends[:-1])

    def wait(self) -> None:
        """Waits until all workers have come here."""
        self.sum(np.zeros(1, np.int64))

    def check_equal(self, value: int, message: str) -> None:
        """Checks that a number is the same on all workers.

        Raises:
          ValueError: It differs; with the message and the numbers.
        """
        values = [int(v[0]) for v in self.gather(np.array([value]))]
        if len(set(values)) > 1:
            listed = ", ".join(map(str, values))
            raise ValueError(f"{message} (by worker: {listed})")

    def on_replicas(
        self, predict: Callable[[Any], tf.Tensor]
    ) -> BatchPolymorphicFunction:
        """Returns a function of a batch that all replicas here share.

        Args:
          predict: From a nest of tensors whose first axis is the batch to one
            such tensor; its variables were made under the strategy's scope.
        """
        count = self.num_replicas

        def run(batch):
            size = tf.shape(tf.nest.flatten(batch)[0])[0]
            bounds = [size * r // count for r in range(count + 1)]
            slices = [
                tf.nest.map_structure(lambda t, a=a, b=b: t[a:b], batch)
                for a, b in itertools.pairwise(bounds)
            ]
            values = self.strategy.experimental_distribute_values_from_function(
                lambda context: slices[context.replica_id_in_sync_group % count]
            )
            predicted = self.strategy.run(predict, args=(values,))
            return tf.concat(
                self.strategy.experimental_local_results(predicted), axis=0
            )

        return BatchPolymorphicFunction(run)

    @contextlib.contextmanager
    def exit_barrier(self) -> Iterator[None]:
        """Ends when all workers have ended their shared work.

        A sum can return on one worker before the others have received all
        that it sent: if that worker ended then, they would fail. So one more
        sum follows, whose result nobody needs: if it fails, another worker
        has already ended its work.

        Raises:
          WorkerLostError: Another worker is gone before the work is done.
        """
        with self.report_lost_worker():
            yield
        with contextlib.suppress(*_PEER_LOST_ERRORS):
            self.wait()

    @contextlib.contextmanager
    def report_lost_worker(self) -> Iterator[None]:
        """Says clearly that another worker is lost if an operation fails.

        Raises:
          WorkerLostError: In place of TensorFlow's own errors.
        """
        try:
            yield
        except _PEER_LOST_ERRORS as error:
            if self.num_workers == 1:
                raise
            raise WorkerLostError(
                f"worker {self.rank} of {self.num_workers}: another worker is "
                "gone or cannot be reached; start all workers again, and they "
                f"go on from the last checkpoint. ({_summarize(error)})"
            ) from error


def _summarize(error: tf.errors.OpError) -> str:
    """Returns the line of a graph's error that names the cause."""
    lines = str(error.message).splitlines()
    mark = "aborted by: "
    found = [line.split(mark)[-1] for line in lines if mark in line]
    return (found or lines or ["no reason given"])[0]

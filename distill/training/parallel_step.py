"""One training step over the parts of a batch: on every device, by turns.

The gradients of the parts' losses are summed over turns, devices and machines.
The sum is the whole batch's gradient, and is applied once.
"""

import abc
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from distill.distributed.tracing import BatchPolymorphicFunction
from distill.training.batch_parts import Batch, count_examples, mark_part
from distill.training.optimizers import apply_gradients
from distill.training.part_seeds import PartSeeds
from distill.training.shared_batch_norm import share_batch_norms

Terms = dict[str, tf.Tensor]
Predictions = dict[str, tf.Tensor]


class BatchTrainer(abc.ABC):
    """What trains by batches, whole or in parts."""

    @abc.abstractmethod
    def prepare(self, batch: Batch) -> Batch:
        """Returns what a step needs of a batch as read, to be divided."""

    @abc.abstractmethod
    def train_parts(
        self,
        turns: list[list[Batch]],
        learning_rate: float,
        progress: float = 0.0,
    ) -> tuple[Terms, list[Predictions]]:
        """Changes the weights by the parts of one prepared batch.

        Args:
          turns: Parts by turn and by replica of this process.
          learning_rate: The rate of this step.
          progress: Share of the run that lies behind, for scheduled weights.

        Returns:
          Dict of the terms of the whole batch's loss as scalars, and their sum
          `loss`; the predictions of this process's parts by network.
        """

    def train_step(
        self, batch: Batch, learning_rate: float, progress: float = 0.0
    ) -> tuple[Terms, Predictions]:
        """Changes the weights by one batch as read, on one device at once."""
        part = mark_part(self.prepare(batch), count_examples(batch), 0)
        terms, predictions = self.train_parts([[part]], learning_rate, progress)
        return terms, predictions[0]


class ParallelStep:
    """Changes variables by the gradient of a loss, once a step.

    It is built, as all it is given, under the strategy's scope.

    Args:
      loss_terms: From a part to the terms of its loss as scalars, which add up
        over the parts to those of the batch, and `[part, classes]` predictions
        by network.
      models: Those that compute them.
      variables: What is trained.
      optimizer: Built for the variables.
      clip_gradient_norm: Largest norm of each variable's gradient; 0: none.
      finish: Called in the graph after the update, once for all replicas.
    """

    def __init__(
        self,
        loss_terms: Callable[[Batch], tuple[Terms, Predictions]],
        models: Sequence[keras.Model],
        variables: list[keras.Variable],
        optimizer: keras.optimizers.Optimizer,
        clip_gradient_norm: float,
        finish: Callable[[], None] | None = None,
    ):
        self._strategy = tf.distribute.get_strategy()
        if self._strategy.num_replicas_in_sync > 1:
            share_batch_norms(models)
        self._loss_terms = loss_terms
        self._variables = variables
        self._optimizer = optimizer
        self._clip_gradient_norm = clip_gradient_norm
        self._finish = finish
        self._seeds = PartSeeds(models)
        self._sums: list[tf.Variable] = []
        self._graphs: dict[tuple[bool, bool], BatchPolymorphicFunction] = {}

    def __call__(
        self, turns: list[list[Batch]]
    ) -> tuple[Terms, list[Predictions]]:
        """Makes one step.

        Args:
          turns: Parts by turn and by replica of this process.

        Returns:
          The terms of the whole batch's loss and their sum `loss`; the
          predictions of this process's parts, by turn and replica.
        """
        if len(turns) > 1 and not self._sums:
            self._sums = self._make_sums()
        total: Terms = {}
        predictions: list[Predictions] = []
        for turn, parts in enumerate(turns):
            graph = self._graph(turn == 0, turn == len(turns) - 1)
            terms, predicted = graph(parts)
            total = {
                name: total[name] + term if total else term
                for name, term in terms.items()
            }
            predictions += predicted
        return total, predictions

    def _make_sums(self) -> list[tf.Variable]:
        """Returns a gradient's sum for each variable, one on every replica."""
        with self._strategy.scope():
            return [
                tf.Variable(
                    tf.zeros(variable.shape, variable.dtype),
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM,
                )
                for variable in self._variables
            ]

    def _graph(self, is_first: bool, is_last: bool) -> BatchPolymorphicFunction:
        """Returns the graph of a turn: traced once for each kind."""
        kind = (is_first, is_last)
        if kind not in self._graphs:
            self._graphs[kind] = BatchPolymorphicFunction(
                lambda parts: self._run_on_replicas(parts, is_first, is_last)
            )
        return self._graphs[kind]

    def _run_on_replicas(self, parts, is_first, is_last):
        strategy = self._strategy
        part = parts[0]
        if len(parts) > 1:
            part = strategy.experimental_distribute_values_from_function(
                lambda context: parts[
                    context.replica_id_in_sync_group % len(parts)
                ]
            )
        terms, predictions = strategy.run(
            lambda part: self._take_part(part, is_first, is_last), args=(part,)
        )
        locally = strategy.experimental_local_results
        # The terms are summed already: every replica has the same.
        return {name: locally(term)[0] for name, term in terms.items()}, [
            {name: locally(value)[r] for name, value in predictions.items()}
            for r in range(len(parts))
        ]

    def _take_part(self, part, is_first, is_last):
        """Adds one replica's part to the step; the last one ends it."""
        part = dict(part)
        with self._seeds.of_part(part.pop("part"), is_last):
            with tf.GradientTape() as tape:
                terms, predictions = self._loss_terms(part)
                terms["loss"] = tf.add_n(list(terms.values()))
            gradients = tape.gradient(terms["loss"], self._variables)
        if not (is_first and is_last):
            gradients = self._add_to_sums(gradients, is_first)
        if not is_last:
            return self._sum_over_replicas(terms, [])[0], predictions
        terms, gradients = self._sum_over_replicas(terms, gradients)
        apply_gradients(
            self._optimizer,
            gradients,
            self._variables,
            self._clip_gradient_norm,
        )
        if self._finish is not None:
            tf.distribute.get_replica_context().merge_call(
                lambda strategy: self._finish()
            )
        return terms, predictions

    def _add_to_sums(self, gradients, is_first):
        """Returns the sums with this turn's gradients.

        They are added in place: what is added in the graph may be taken
        together with sums inside a gradient, in another order, by TensorFlow.
        """
        sums = []
        for own_sum, gradient in zip(self._sums, gradients, strict=True):
            if gradient is not None:
                add = own_sum.assign if is_first else own_sum.assign_add
                add(gradient)
                gradient = own_sum.read_value()
            sums.append(gradient)
        return sums

    def _sum_over_replicas(self, terms, gradients):
        if self._strategy.num_replicas_in_sync == 1:
            return terms, gradients
        there = [gradient for gradient in gradients if gradient is not None]
        *there, summed = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.SUM, [*there, tf.stack([*terms.values()])]
        )
        terms = dict(zip(terms, tf.unstack(summed), strict=True))
        remaining = iter(there)
        return terms, [g if g is None else next(remaining) for g in gradients]

"""One training step: gradients of all micro-batches, applied once.

Gradients of the micro-batches' losses are summed over accumulation steps,
devices and machines. The sum is the gradient of the whole batch's loss.
"""

import abc
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from distill.distributed.tracing import BatchPolymorphicFunction
from distill.networks.network import Network
from distill.settings.training import TrainingSettings
from distill.training.micro_batches import (
    Batch,
    Predictions,
    count_examples,
    make_micro_batch,
)
from distill.training.optimizers import apply_gradients, make_optimizer
from distill.training.replicated_layers import (
    MicroBatchSeeds,
    share_batch_norms,
)

Terms = dict[str, tf.Tensor]
TermsAndPredictions = tuple[Terms, Predictions]
Gradients = list[tf.Tensor | None]
# What a graph returns: terms, predictions, and gradients that are kept.
Returned = tuple[Terms, Predictions, Gradients]
VariableGroups = dict[str, dict[str, keras.Variable]]


class Trainer(abc.ABC):
    """Changes variables by the gradient of a loss, once a step.

    A trainer and its models are built under the strategy's scope.

    Attributes:
      models: Those that train; the last is kept, as the student is.
      optimizer: Built for the variables.
      progress: Scalar variable: 0 in the run's first epoch, 1 in the last.
      gradients: Those of the variables at the last step, before they are
        clipped, if they were kept; None for a variable without one.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        variables: list[keras.Variable],
        training: TrainingSettings,
    ):
        self.training = training
        self.models = models
        self.variables = variables
        self.optimizer = make_optimizer(training)
        self.optimizer.build(variables)
        self.progress = tf.Variable(0.0, trainable=False)
        self._strategy = tf.distribute.get_strategy()
        if self._strategy.num_replicas_in_sync > 1:
            share_batch_norms(models)
        self._seeds = MicroBatchSeeds(models)
        self.gradients: Gradients = []
        self._gradient_sums: list[tf.Variable] = []
        self._graphs: dict[tuple[bool, ...], BatchPolymorphicFunction] = {}

    @property
    @abc.abstractmethod
    def groups(self) -> VariableGroups:
        """All variables of a run, by group of the checkpoint and name."""

    @property
    def results(self) -> dict[str, Network]:
        """The networks to validate, by role; none without labels."""
        return {}

    @property
    def reader_options(self) -> dict[str, Any]:
        """The `budget` and `num_draws` with which to read training data."""
        return {}

    @abc.abstractmethod
    def prepare(self, batch: Batch) -> Batch:
        """Returns what a step needs of a batch as read."""

    @abc.abstractmethod
    def micro_batch_terms(self, micro_batch: Batch) -> TermsAndPredictions:
        """Returns the terms that a micro-batch adds to the batch's loss.

        Args:
          micro_batch: Part of a prepared batch, with `micro_batch_weight`.

        Returns:
          Scalars by name, and predictions `[micro_batch, classes]` by network.
        """

    def trained(self) -> dict[str, keras.Variable]:
        """Returns the variables that train, by `GROUP/NAME`, in their order."""
        names = {
            id(variable): f"{group}/{name}"
            for group, variables in self.groups.items()
            for name, variable in variables.items()
        }
        return {names[id(each)]: each for each in self.variables}

    def finish_step(self) -> None:
        """Is called in the graph after the weights have changed."""
        return

    def train_step(
        self, batch: Batch, learning_rate: float, progress: float = 0.0
    ) -> TermsAndPredictions:
        """Changes the weights by one batch as read, in one micro-batch."""
        micro_batch = make_micro_batch(
            self.prepare(batch), count_examples(batch), 0
        )
        terms, predictions = self.step([[micro_batch]], learning_rate, progress)
        return terms, predictions[0]

    def step(
        self,
        micro_batches: list[list[Batch]],
        learning_rate: float,
        progress: float = 0.0,
        keep_gradients: bool = False,
    ) -> tuple[Terms, list[Predictions]]:
        """Changes the weights once, by the micro-batches of a prepared batch.

        Args:
          micro_batches: Those of this process, by accumulation step and
            replica.
          learning_rate: The rate of this step.
          progress: From 0 in the first epoch to 1 in the last.
          keep_gradients: Whether `gradients` becomes those of this step. All
            workers must keep them in the same steps.

        Returns:
          Scalar terms of the whole batch's loss and their sum `loss`, by name;
          the predictions of this process's micro-batches, in order.
        """
        # TensorFlow keeps each Python number that it is given for ever.
        self.optimizer.learning_rate.assign(np.float32(learning_rate))
        self.progress.assign(np.float32(progress))
        if len(micro_batches) > 1 and not self._gradient_sums:
            self._gradient_sums = self._make_gradient_sums()
        total: Terms = {}
        predictions: list[Predictions] = []
        last = len(micro_batches) - 1
        for index, on_replicas in enumerate(micro_batches):
            keep = keep_gradients and index == last
            graph = self._graph(index == 0, index == last, keep)
            terms, predicted, self.gradients = graph(on_replicas)
            total = {k: total[k] + t if total else t for k, t in terms.items()}
            predictions += predicted
        return total, predictions

    def _make_gradient_sums(self) -> list[tf.Variable]:
        """Returns one sum for each variable, kept on every replica."""
        kind = {
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.SUM,
        }
        with self._strategy.scope():
            zeros = [tf.zeros(v.shape, v.dtype) for v in self.variables]
            return [tf.Variable(z, trainable=False, **kind) for z in zeros]

    def _graph(self, *kind: bool) -> BatchPolymorphicFunction:
        """Returns the graph of an accumulation step, traced once a kind.

        The kind is whether the step is the first, whether it is the last, and
        whether the gradients are kept.
        """
        if kind not in self._graphs:
            self._graphs[kind] = BatchPolymorphicFunction(
                lambda batches: self._run_on_replicas(batches, *kind)
            )
        return self._graphs[kind]

    def _run_on_replicas(
        self, micro_batches: list[Batch], *kind: bool
    ) -> tuple[Terms, list[Predictions], Gradients]:
        strategy, count = self._strategy, len(micro_batches)
        values = micro_batches[0]
        if count > 1:
            values = strategy.experimental_distribute_values_from_function(
                lambda context: micro_batches[
                    context.replica_id_in_sync_group % count
                ]
            )
        terms, predictions, gradients = strategy.run(
            lambda values: self._accumulate(values, *kind), args=(values,)
        )
        locally = strategy.experimental_local_results
        # Terms and gradients are summed over the replicas already.
        return (
            {name: locally(term)[0] for name, term in terms.items()},
            [
                {name: locally(value)[r] for name, value in predictions.items()}
                for r in range(count)
            ],
            [None if g is None else locally(g)[0] for g in gradients],
        )

    def _accumulate(
        self,
        micro_batch: Batch,
        is_first: bool,
        is_last: bool,
        keep_gradients: bool,
    ) -> Returned:
        """Adds one micro-batch to the step; the last one ends the step."""
        inputs = dict(micro_batch)
        number = inputs.pop("micro_batch_number")
        with self._seeds.drawing(number, is_last):
            with tf.GradientTape() as tape:
                terms, predictions = self.micro_batch_terms(inputs)
                terms["loss"] = tf.add_n(list(terms.values()))
            gradients = tape.gradient(terms["loss"], self.variables)
        if not (is_first and is_last):
            gradients = self._add_to_sums(gradients, is_first)
        if not is_last:
            return self._sum_over_replicas(terms, [])[0], predictions, []
        terms, gradients = self._sum_over_replicas(terms, gradients)
        clip_norm = self.training.clip_gradient_norm
        apply_gradients(self.optimizer, gradients, self.variables, clip_norm)
        tf.distribute.get_replica_context().merge_call(
            lambda strategy: self.finish_step()
        )
        kept = gradients if keep_gradients else []
        return terms, predictions, [_to_dense(each) for each in kept]

    def _add_to_sums(self, gradients: Gradients, is_first: bool) -> Gradients:
        """Returns the gradients summed over the accumulation steps so far.

        The sums are changed in place. TensorFlow may merge an addition in the
        graph with sums inside a gradient, and so change their order.
        """
        sums: Gradients = []
        pairs = zip(self._gradient_sums, gradients, strict=True)
        for own_sum, gradient in pairs:
            if gradient is not None:
                add = own_sum.assign if is_first else own_sum.assign_add
                add(gradient)
                gradient = own_sum.read_value()
            sums.append(gradient)
        return sums

    def _sum_over_replicas(
        self, terms: Terms, gradients: Gradients
    ) -> tuple[Terms, Gradients]:
        if self._strategy.num_replicas_in_sync == 1:
            return terms, gradients
        present = [gradient for gradient in gradients if gradient is not None]
        *present, stacked = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.SUM, [*present, tf.stack([*terms.values()])]
        )
        terms = dict(zip(terms, tf.unstack(stacked), strict=True))
        remaining = iter(present)
        return terms, [g if g is None else next(remaining) for g in gradients]


def _to_dense(gradient: tf.Tensor | None) -> tf.Tensor | None:
    return None if gradient is None else tf.convert_to_tensor(gradient)

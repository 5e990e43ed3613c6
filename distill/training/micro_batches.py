"""A batch divided into micro-batches, by accumulation step and replica."""

import dataclasses

import numpy as np
import tensorflow as tf

Batch = dict[str, tf.Tensor]
Predictions = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class MicroBatchPlan:
    """How a batch is divided, and which micro-batches this process computes.

    Each replica computes one micro-batch in each accumulation step. Replica
    `r` of worker `w` computes number
    `(step * num_workers + w) * num_replicas + r` in accumulation step `step`.

    Attributes:
      accumulate_steps: Micro-batches that each replica computes in turn.
      num_replicas: Devices of each worker.
      num_workers: Processes.
      worker: Index of this process, from 0.
    """

    accumulate_steps: int = 1
    num_replicas: int = 1
    num_workers: int = 1
    worker: int = 0

    def divide(
        self, batch: Batch, counts: list[int], *, is_shared: bool
    ) -> list[list[Batch]]:
        """Divides a batch and returns the micro-batches of this process.

        Args:
          batch: Tensors whose first axis is the batch.
          counts: Number of examples in each worker's batch.
          is_shared: Whether all workers hold the same batch, and each computes
            some of its micro-batches. Otherwise each divides its own batch.

        Returns:
          Micro-batches by accumulation step and replica, as
          `make_micro_batch` returns them. Accumulation steps in which no
          worker has an example are left out.
        """
        per_step = self.num_replicas * (self.num_workers if is_shared else 1)
        pieces = split_batch(batch, self.accumulate_steps * per_step)
        total = counts[0] if is_shared else sum(counts)
        offset = self.num_replicas * self.worker if is_shared else 0
        # `split_batch` fills a piece with two examples before the next.
        most_filled = min(len(pieces), (max(counts) + 1) // 2)
        steps = []
        for step in range(-(-most_filled // per_step)):
            start = step * per_step + offset
            first = (step * self.num_workers + self.worker) * self.num_replicas
            own = pieces[start : start + self.num_replicas]
            steps.append(
                [
                    make_micro_batch(piece, total, first + replica)
                    for replica, piece in enumerate(own)
                ]
            )
        return steps


def make_micro_batch(batch: Batch, total: int, number: int) -> Batch:
    """Adds to a batch its weight in the step and its number, from 0.

    Returns:
      The batch with `micro_batch_weight` float32, its fraction of the step's
      `total` examples, and `micro_batch_number` int64, both scalars.
    """
    weight = count_examples(batch) / total
    return batch | {
        "micro_batch_weight": tf.constant(weight, tf.float32),
        "micro_batch_number": tf.constant(number, tf.int64),
    }


def join_predictions(
    micro_batches: list[Batch], predictions: list[Predictions]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Joins the predictions of a step's micro-batches for its metrics.

    Those of each micro-batch are `[micro_batch, classes]` by network.

    Returns:
      Predictions `[batch, classes]` by network, and labels `[batch, classes]`;
      both empty without networks. Classes that nobody rated get the
      prediction 0 and so rank last.
    """
    if not predictions[0]:
        return {}, np.array([])
    joined = {
        role: np.concatenate([predicted[role] for predicted in predictions])
        for role in predictions[0]
    }
    if "label_weights" in micro_batches[0]:
        rated = np.concatenate([b["label_weights"] for b in micro_batches])
        joined = {role: scores * rated for role, scores in joined.items()}
    return joined, np.concatenate([batch["labels"] for batch in micro_batches])


def count_examples(batch: Batch) -> int:
    """Returns the number of examples of a batch."""
    return int(next(iter(batch.values())).shape[0])


def split_batch(batch: Batch, num_pieces: int) -> list[Batch]:
    """Splits a batch into pieces of nearly equal size.

    Mixup mixes each example with its mirror image: the example as far from
    the other end of the batch. Both get into the same piece, and are mirror
    images there too. The first pieces are filled first; without enough
    examples the last ones are empty.
    """
    if num_pieces == 1:
        return [batch]
    size = count_examples(batch)
    pieces = []
    for front in np.array_split(np.arange((size + 1) // 2), num_pieces):
        back = size - 1 - front[::-1]
        # The example in the middle is its own mirror image.
        indexes = np.concatenate([front, back[~np.isin(back, front)]])
        pieces.append(
            {name: tf.gather(value, indexes) for name, value in batch.items()}
        )
    return pieces

"""The parts of a step's batch that replicas take, at once or by turns."""

import dataclasses

import numpy as np
import tensorflow as tf

Batch = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class PartPlan:
    """Into how many parts a batch is divided, and which are this process's.

    All replicas work at once, turn after turn: part
    `(turn * num_workers + worker) * num_replicas + replica` is that replica's.

    Attributes:
      num_turns: Parts that every replica takes one after another.
      num_replicas: Devices of every worker.
      num_workers: Processes.
      worker: This process, from 0.
    """

    num_turns: int = 1
    num_replicas: int = 1
    num_workers: int = 1
    worker: int = 0

    def divide(
        self, batch: Batch, counts: list[int], *, is_shared: bool
    ) -> list[list[Batch]]:
        """Divides a batch and returns the parts of this process.

        Args:
          batch: Tensors whose first axis is the batch.
          counts: Examples of each worker's batch.
          is_shared: Whether all workers hold the same batch, of which each
            takes some parts; else each divides its own.

        Returns:
          By turn and replica the tensors, with `share` float32, the part's
          share of the step's examples, and `part` int64, its number. A turn in
          which no worker has an example is left out.
        """
        per_turn = self.num_replicas * (self.num_workers if is_shared else 1)
        parts = split_batch(batch, self.num_turns * per_turn)
        total = counts[0] if is_shared else sum(counts)
        offset = self.num_replicas * self.worker if is_shared else 0
        most = max(count_filled(n, len(parts)) for n in counts)
        turns = []
        for turn in range(-(-most // per_turn)):
            start = turn * per_turn + offset
            first = (turn * self.num_workers + self.worker) * self.num_replicas
            turns.append(
                [
                    mark_part(part, total, first + replica)
                    for replica, part in enumerate(
                        parts[start : start + self.num_replicas]
                    )
                ]
            )
        return turns


def mark_part(batch: Batch, total: int, number: int) -> Batch:
    """Returns a part with its share of `total` examples and its number."""
    return batch | {
        "share": tf.constant(count_examples(batch) / total, tf.float32),
        "part": tf.constant(number, tf.int64),
    }


def join_parts(
    parts: list[Batch], predictions: list[dict[str, tf.Tensor]]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Joins what was predicted of parts for the metrics of a step.

    Args:
      parts: With `labels` and, of segments, `label_weights`.
      predictions: `[part, classes]` of each, by network.

    Returns:
      `[batch, classes]` predictions by network, 0 where nobody rated a class,
      so that it ranks below all that is rated; and labels, if any.
    """
    joined = {
        role: np.concatenate(
            [
                predicted[role].numpy() * _rated(part)
                for part, predicted in zip(parts, predictions, strict=True)
            ]
        )
        for role in predictions[0]
    }
    labels = [part["labels"] for part in parts] if joined else [[]]
    return joined, np.concatenate(labels)


def _rated(part: Batch) -> np.ndarray | int:
    weights = part.get("label_weights")
    return 1 if weights is None else weights.numpy()


def count_examples(batch: Batch) -> int:
    """Returns how many examples a batch holds."""
    return int(next(iter(batch.values())).shape[0])


def count_filled(num_examples: int, num_parts: int) -> int:
    """Returns how many of the parts of `split_batch` hold an example."""
    return min(num_parts, (num_examples + 1) // 2)


def split_batch(batch: Batch, num_parts: int) -> list[Batch]:
    """Splits a batch into parts of nearly equal size, the first filled first.

    An example and the one as far from the batch's other end are in one part,
    and as far from its ends: what is mixed with its mirror image in the whole
    batch is so in its part.

    Args:
      batch: Tensors whose first axis is the batch.
      num_parts: How many; those that are too many are empty.
    """
    if num_parts == 1:
        return [batch]
    size = count_examples(batch)
    parts = []
    for front in np.array_split(np.arange((size + 1) // 2), num_parts):
        back = size - 1 - front[::-1]
        # The example in the middle is its own mirror image.
        indexes = np.concatenate([front, back[~np.isin(back, front)]])
        parts.append(
            {name: tf.gather(value, indexes) for name, value in batch.items()}
        )
    return parts

"""The batches of an epoch for each worker: shared ones, or of own files.

An epoch is one stream of batches, or one stream for each worker that began
it, with files of its own. The number of streams stays fixed until the epoch
ends, even after resuming with other workers, so that every record is read
exactly once.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.files import describe_files
from distill.data.pipeline import VideoReader
from distill.distributed.workers import Workers
from distill.training.micro_batches import Batch, count_examples


@dataclasses.dataclass(frozen=True)
class StepBatch:
    """A worker's batch of one step.

    Attributes:
      batch: Tensors whose first axis is the batch; it may be 0.
      counts: Number of examples in each worker's batch.
      is_shared: Whether all workers hold the same batch.
      positions: Examples of each stream read so far, with this step.
      interrupted: Whether a worker was asked to stop.
    """

    batch: Batch
    counts: list[int]
    is_shared: bool
    positions: list[int]
    interrupted: bool

    @property
    def num_examples(self) -> int:
        """Examples of the step."""
        return self.counts[0] if self.is_shared else sum(self.counts)


class EpochReader:
    """Reads this worker's batches of an epoch.

    Args:
      reader: Reads the training data in batches of all workers.
      workers: The processes.
      shard_by: `file`: each worker reads files of its own; `batch`: all read
        everything, and each computes some micro-batches of every batch.

    Raises:
      ValueError: There are fewer files than workers.
    """

    def __init__(self, reader: VideoReader, workers: Workers, shard_by: str):
        self.reader = reader
        self.workers = workers
        self.num_streams = workers.num_workers if shard_by == "file" else 1
        if len(reader.files) < self.num_streams:
            raise ValueError(
                f"{self.num_streams} workers cannot share "
                f"{describe_files(reader.files)}; give more files, or "
                "--shard_by=batch."
            )

    def read(
        self,
        seed: int,
        epoch: int,
        buffer_size: int,
        positions: Sequence[int],
        caught: list,
    ) -> Iterator[StepBatch]:
        """Yields this worker's batch for each step of an epoch.

        The order is that of `VideoReader.read_shuffled`. `positions` are the
        examples of each stream read so far, none at the start of an epoch;
        `caught` are the signals that this process has received.
        """
        if not any(positions):
            positions = [0] * self.num_streams
        order = seed, epoch, buffer_size
        if len(positions) == 1:
            yield from self._read_shared(order, positions[0], caught)
        else:
            yield from self._read_streams(order, list(positions), caught)

    def _read_shared(
        self, order: tuple[int, int, int], position: int, caught: list
    ) -> Iterator[StepBatch]:
        for batch in self.reader.read_shuffled(*order, position):
            signals = self.workers.sum(np.array([len(caught)]))
            yield StepBatch(
                batch,
                [count_examples(batch)] * self.workers.num_workers,
                True,
                [int(batch["position"][-1])],
                bool(signals[0]),
            )

    def _read_streams(
        self, order: tuple[int, int, int], positions: list[int], caught: list
    ) -> Iterator[StepBatch]:
        """Reads until no stream of any worker has a batch left."""
        workers, num_streams = self.workers, len(positions)
        streams = {
            stream: self._stream_reader(stream, num_streams).read_shuffled(
                *order, positions[stream], stream=(stream, num_streams)
            )
            for stream in range(workers.rank, num_streams, workers.num_workers)
        }
        while True:
            batches = {
                stream: batch
                for stream, batches in streams.items()
                if (batch := next(batches, None)) is not None
            }
            # One sum tells all workers: how far each stream moved, how many
            # examples each worker has, how many signals came.
            news = np.zeros(num_streams + workers.num_workers + 1, np.int64)
            for stream, batch in batches.items():
                news[stream] = int(batch["position"][-1]) - positions[stream]
                news[num_streams + workers.rank] += count_examples(batch)
            news[-1] = len(caught)
            news = workers.sum(news)
            counts = news[num_streams:-1].tolist()
            if not any(counts):
                if not any(positions):
                    raise BadRecordError(
                        f"No example in {describe_files(self.reader.files)}."
                    )
                return
            positions = (positions + news[:num_streams]).tolist()
            batch = self._join(list(batches.values()))
            yield StepBatch(batch, counts, False, positions, bool(news[-1]))

    def _stream_reader(self, stream: int, num_streams: int) -> VideoReader:
        """Returns a reader of one stream's examples of every batch."""
        size, remainder = divmod(self.reader.batch_size, num_streams)
        size += stream < remainder
        if not size:
            raise ValueError(
                f"batch_size must be {num_streams} or more for that many "
                "workers with files of their own, got "
                f"{self.reader.batch_size}."
            )
        return dataclasses.replace(self.reader, batch_size=size)

    def _join(self, batches: list[Batch]) -> Batch:
        if len(batches) == 1:
            return batches[0]
        if not batches:
            example = next(self.reader.read_once())
            return {name: value[:0] for name, value in example.items()}
        return {
            name: tf.concat([batch[name] for batch in batches], axis=0)
            for name in batches[0]
        }

"""What the workers of a run read of an epoch: shared batches, or own files.

An epoch is one stream of batches, or as many as there were workers when it
began, each of files of its own. It is ended by as many streams, whichever
number of workers goes on with it, so that every record is read exactly once.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.files import describe_files
from distill.data.pipeline import VideoReader
from distill.distributed.workers import Workers
from distill.training.batch_parts import Batch, count_examples


@dataclasses.dataclass(frozen=True)
class StepBatch:
    """What a worker has of a step's batch.

    Attributes:
      batch: Tensors whose first axis is the batch; it may be 0.
      counts: Examples of each worker's batch.
      is_shared: Whether all workers hold the same batch.
      positions: Examples of each stream that lie behind, with this step.
      interrupted: Whether a worker was asked to end.
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
    """Reads this worker's share of the batches of an epoch.

    Args:
      reader: Reads the training data in batches of all workers.
      workers: The processes.
      shard_by: `file`: every worker reads files of its own; `batch`: all read
        everything, and each takes parts of every batch.

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
        positions: list[int],
        caught: list,
    ) -> Iterator[StepBatch]:
        """Yields this worker's part of every step of an epoch.

        Args:
          seed: The run's seed.
          epoch: Number of the epoch, from 0.
          buffer_size: Records among which the next one is drawn.
          positions: Examples of each stream that lie behind; none in an epoch
            that begins.
          caught: Not empty once this process was asked to end.
        """
        if not any(positions):
            positions = [0] * self.num_streams
        if len(positions) == 1:
            yield from self._read_shared(
                seed, epoch, buffer_size, positions[0], caught
            )
        else:
            yield from self._read_streams(
                seed, epoch, buffer_size, positions, caught
            )

    def _read_shared(self, seed, epoch, buffer_size, position, caught):
        batches = self.reader.read_shuffled(seed, epoch, buffer_size, position)
        for batch in batches:
            asked = np.array([len(caught)])
            if self.workers.num_workers > 1:
                asked = self.workers.sum(asked)
            yield StepBatch(
                batch,
                [count_examples(batch)] * self.workers.num_workers,
                True,
                [int(batch["position"][-1])],
                bool(asked[0]),
            )

    def _read_streams(self, seed, epoch, buffer_size, positions, caught):
        """Reads streams until none of any worker has a batch left."""
        workers, num_streams = self.workers, len(positions)
        own = range(workers.rank, num_streams, workers.num_workers)
        streams = {
            stream: self._stream_reader(stream, num_streams).read_shuffled(
                seed,
                epoch,
                buffer_size,
                positions[stream],
                stream=(stream, num_streams),
            )
            for stream in own
        }
        while True:
            batches = {
                stream: batch
                for stream, batches in streams.items()
                if (batch := next(batches, None)) is not None
            }
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
        """Returns a reader of the stream's share of every batch."""
        size, more = divmod(self.reader.batch_size, num_streams)
        size += stream < more
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

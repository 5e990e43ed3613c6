"""What each of several workers reads of a set of videos that is read once."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from distill.data.pipeline import VideoReader
from distill.distributed.workers import Workers


@dataclasses.dataclass(frozen=True)
class SharedReading:
    """Divides the batches of a pass among workers.

    Attributes:
      workers: The processes.
      by_batch: Whether all read all files and each takes every n-th batch, so
        that batches are those of one process; else each reads every n-th file,
        if there is one for each.
    """

    workers: Workers = dataclasses.field(default_factory=Workers)
    by_batch: bool = False

    def takes_turns(self, reader: VideoReader) -> bool:
        """Returns whether each worker takes every n-th batch, not file."""
        return self.by_batch or len(reader.files) < self.workers.num_workers

    def read(self, reader: VideoReader) -> Iterator[dict[str, Any]]:
        """Yields this worker's batches."""
        rank, count = self.workers.rank, self.workers.num_workers
        if self.takes_turns(reader):
            yield from reader.read_once((rank, count))
        else:
            files = reader.files[rank::count]
            yield from dataclasses.replace(reader, files=files).read_once()


ALONE = SharedReading()

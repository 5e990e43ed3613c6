"""How several workers divide a set of videos that is read once."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from distill.data.pipeline import VideoReader
from distill.distributed.workers import Workers
from distill.system.storage import to_path


class Reading(Protocol):
    """How a process reads its part of a set of videos."""

    @property
    def workers(self) -> Workers:
        """The processes that share the reading."""

    def read(self, reader: VideoReader) -> Iterator[dict[str, Any]]:
        """Yields this process's batches."""


@dataclasses.dataclass(frozen=True)
class SharedReading:
    """Divides the batches of a pass among workers.

    With `by_batch` every worker reads all files and takes every n-th batch, so
    batches equal those of one process; else it reads every n-th file, if there
    are enough files.
    """

    workers: Workers = dataclasses.field(default_factory=Workers)
    by_batch: bool = False

    def divides_batches(self, reader: VideoReader) -> bool:
        """Returns True for every n-th batch, False for every n-th file."""
        return self.by_batch or len(reader.files) < self.workers.num_workers

    def part_files(self, path: str | Path) -> list[Path]:
        """Returns the file beside a result that each worker writes first."""
        path, count = to_path(path), self.workers.num_workers
        return [
            path.with_name(f".{path.name}.{rank}-of-{count}.part")
            for rank in range(count)
        ]

    def read(self, reader: VideoReader) -> Iterator[dict[str, Any]]:
        """Yields this worker's batches."""
        rank, count = self.workers.rank, self.workers.num_workers
        if self.divides_batches(reader):
            yield from reader.read_once((rank, count))
        else:
            files = reader.files[rank::count]
            yield from dataclasses.replace(reader, files=files).read_once()


ALONE = SharedReading()

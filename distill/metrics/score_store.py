"""The scores of any number of videos, in bounded memory."""

import contextlib
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

_MEGABYTES_IN_MEMORY = 64


class ScoreStore:
    """Keeps every video's scores; above a bound in a temporary file.

    The file takes four bytes a score, in Python's directory of temporary files
    (`TMPDIR`). It has no name and is deleted with the store. It holds chunks
    of videos, each as `[classes, videos]`, so that a few classes of all videos
    are read in few pieces.

    Args:
      megabytes: Bound of the scores in memory. Reading them class by class
        takes the same amount again.
    """

    def __init__(self, megabytes: float = _MEGABYTES_IN_MEMORY):
        self.num_videos = 0
        self.num_classes = 0
        self._bytes = int(megabytes * 2**20)
        self._batches: list[np.ndarray] = []
        self._batch_bytes = 0
        self._file: Any = None
        self._chunk_sizes: list[int] = []

    def append(self, scores: np.ndarray) -> None:
        """Adds a batch of scores, `[batch, classes]`, kept as float32.

        Raises:
          ValueError: The number of classes differs from earlier batches.
          OSError: The temporary file cannot be written.
        """
        if self.num_videos and scores.shape[1] != self.num_classes:
            raise ValueError(
                f"Earlier videos had {self.num_classes} classes, these have "
                f"{scores.shape[1]}."
            )
        self.num_classes = scores.shape[1]
        self.num_videos += len(scores)
        # A copy: the caller's array may be a view of a device's buffer.
        self._batches.append(np.array(scores, np.float32))
        self._batch_bytes += self._batches[-1].nbytes
        if self._batch_bytes > self._bytes:
            self._write_chunk()

    def extend(self, other: "ScoreStore") -> None:
        """Adds all videos of `other`, which does not change."""
        for rows in other.rows():
            self.append(rows)

    def rows(self) -> Iterator[np.ndarray]:
        """Yields `[videos, classes]` scores, chunk by chunk."""
        for index in range(len(self._chunk_sizes)):
            yield self._read_chunk(index, 0, self.num_classes).T
        if self._batches:
            yield np.concatenate(self._batches)

    def classes(self) -> Iterator[np.ndarray]:
        """Yields each class's scores, `[videos]` float32 in the order added."""
        if not self.num_videos:
            return
        width = max(1, self._bytes // (4 * self.num_videos))
        for start in range(0, self.num_classes, width):
            yield from self._read(start, min(start + width, self.num_classes))

    def _read(self, start: int, end: int) -> np.ndarray:
        chunks = range(len(self._chunk_sizes))
        parts = [self._read_chunk(index, start, end) for index in chunks]
        parts += [batch[:, start:end].T for batch in self._batches]
        return np.concatenate(parts, axis=1)

    def _read_chunk(self, index: int, start: int, end: int) -> np.ndarray:
        size = self._chunk_sizes[index]
        before = sum(self._chunk_sizes[:index]) * self.num_classes
        self._file.seek(4 * (before + start * size))
        part = np.empty((end - start, size), np.float32)
        self._file.readinto(part)
        return part

    def _write_chunk(self) -> None:
        chunk = np.concatenate([batch.T for batch in self._batches], axis=1)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(  # noqa: SIM115
                    prefix="distill-scores-"
                )
                weakref.finalize(self, self._file.close)
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(chunk))
            self._file.flush()
        except OSError as error:
            if self._file is not None:
                # Closing flushes the file's buffer, which fails again.
                with contextlib.suppress(OSError):
                    self._file.close()
            raise OSError(
                f"The scores do not fit into {tempfile.gettempdir()}: {error}. "
                "(TMPDIR names another directory.)"
            ) from error
        self._chunk_sizes.append(chunk.shape[1])
        self._batches.clear()
        self._batch_bytes = 0

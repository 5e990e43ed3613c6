"""Inference of records on many machines: tasks that each write a part.

The predictions are those of one process, byte for byte: each task predicts
whole batches of those that one process would make.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.data.bad_records import BadRecordError
from distill.data.files import describe_files
from distill.data.pipeline import VideoReader
from distill.data.tfrecords import (
    count_whole_records,
    describe_corruption,
    order_of_records,
)
from distill.distributed.workers import Workers
from distill.evaluation.evaluate import ScoredNetwork, predict_videos
from distill.evaluation.inference import (
    InferenceFiles,
    join_predictions,
    write_predictions,
)
from distill.system.atomic_files import replace_atomically
from distill.system.named_reads import read_text
from distill.system.part_files import PartFiles
from distill.system.storage import to_path
from distill.system.tasks import RunTasks

LoadNetwork = Callable[[], ScoredNetwork]


@dataclasses.dataclass(frozen=True)
class _Part:
    """Records that a task predicts; it reads them as a `Reading` does.

    Attributes:
      path: The CSV file to write.
      order: As `VideoReader.read_chosen` takes it.
      first: The same.
    """

    path: Path
    order: np.ndarray
    first: np.ndarray

    @property
    def workers(self) -> Workers:
        """The task's process alone."""
        return Workers()

    def read(self, reader: VideoReader) -> Iterator[dict[str, Any]]:
        """Yields the task's batches."""
        return reader.read_chosen(self.order, self.first)


def infer_by(
    run: RunTasks,
    load: LoadNetwork,
    reader: VideoReader,
    output_file: str | Path,
    *,
    sources: Mapping[str, Any],
    top_k: int,
    num_tasks: int,
) -> int:
    """Writes by the workers of a runner the CSV file of one process.

    Args:
      run: Does the tasks.
      load: Loads the network; it can be pickled.
      reader: The videos.
      output_file: The CSV file. Beside it lie its parts meanwhile, in a
        hidden directory.
      sources: What predictions depend on beside the reader, as JSON values.
      top_k: Classes of a video.
      num_tasks: Parts at most.

    Returns:
      The number of videos.

    Raises:
      ValueError: Records may be left out or be several examples, or the
        runner has failed.
      BadRecordError: A record is bad, or there is none.
    """
    if reader.schema.segment_labels or reader.on_bad_record == "skip":
        raise ValueError(
            "beam_runner predicts every record as one video: it needs "
            "on_bad_record=fail (or output_dir), and no segment_labels (give "
            "each of several processes a --shard of these)."
        )
    path = to_path(output_file).absolute()
    described = [reader.file_sizes(), reader.batch_size, top_k, dict(sources)]
    counts = PartFiles(path, ["counts", described], len(reader.files))
    run(
        _CountRecords,
        [(reader.files[n], counts.paths[n]) for n in counts.missing()],
    )
    counts.check()
    order = order_of_records([int(read_text(path)) for path in counts.paths])
    if not order.size:
        raise BadRecordError(f"No record in {describe_files(reader.files)}.")
    num_batches = -(-len(order) // reader.batch_size)
    parts = PartFiles(path, described, min(num_tasks, num_batches))
    chosen = _divide(order, reader, parts.paths)
    work = functools.partial(_PredictPart, load, reader, top_k)
    run(work, [chosen[number] for number in parts.missing()])
    parts.check()
    count = join_predictions(path, parts.paths)
    parts.remove()
    counts.remove()
    return count


def _divide(
    order: np.ndarray, reader: VideoReader, paths: list[Path]
) -> list[_Part]:
    """Divides the records among tasks; a batch stays whole."""
    size, num_files = reader.batch_size, len(reader.files)
    num_batches = -(-len(order) // size)
    borders = np.linspace(0, num_batches, len(paths) + 1).astype(int) * size
    first = np.zeros(num_files, np.int64)
    parts = []
    for path, start, end in zip(paths, borders, borders[1:], strict=False):
        some = order[start:end]
        parts.append(_Part(path, some, first))
        first = first + np.bincount(some, minlength=num_files)
    return parts


class _CountRecords:
    """Counts the records of a file, and writes their number."""

    def __call__(self, task: tuple[str, Path]) -> None:
        file, path = task
        with replace_atomically(path) as temporary:
            temporary.write_text(str(_count_records(file)))


def _count_records(file: str) -> int:
    import tensorflow as tf

    try:
        return sum(1 for _ in tf.data.TFRecordDataset(file))
    except tf.errors.DataLossError as error:
        number = count_whole_records(file)
        raise BadRecordError(describe_corruption(file, number)) from error


class _PredictPart:
    """Predicts the videos of a part."""

    def __init__(self, load: LoadNetwork, reader: VideoReader, top_k: int):
        self._network, self._reader, self._top_k = load(), reader, top_k

    def __call__(self, part: _Part) -> None:
        batches = predict_videos(self._network, self._reader, part)
        for _ in write_predictions(part.path, batches, self._top_k):
            pass


def infer_files_by(
    run: RunTasks,
    load: LoadNetwork,
    reader: VideoReader,
    results: InferenceFiles,
) -> Iterator[str]:
    """Writes by workers the missing CSV files; yields a message for each input.

    Args:
      run: Does the tasks.
      load: Loads the network; it can be pickled.
      reader: The videos.
      results: The CSV files.

    Raises:
      ValueError: The runner or a task has failed, or a CSV file was made of
        an input of another size.
    """
    results.prepare(reader.files)
    sizes = reader.file_sizes()
    kept = {file: results.kept(file, size) for file, size in sizes.items()}
    missing = [(f, size) for f, size in sizes.items() if kept[f] is None]
    run(functools.partial(_PredictFile, load, reader, results), missing)
    for file in sizes:
        yield kept[file] or f"wrote {results.path(file)}"


class _PredictFile:
    """Predicts the videos of a file."""

    def __init__(
        self, load: LoadNetwork, reader: VideoReader, results: InferenceFiles
    ):
        self._network, self._reader, self._results = load(), reader, results

    def __call__(self, task: tuple[str, int]) -> None:
        self._results.write_file(self._network, self._reader, *task)

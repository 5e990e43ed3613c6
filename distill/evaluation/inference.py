"""Predictions and labels of videos as CSV files in the starter code's form.

Predictions are one file for all videos, from one worker or several; or a file
for each input, which a later run keeps.
"""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from distill.data.bad_records import name_video
from distill.data.files import name_of
from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import (
    Prediction,
    ScoredNetwork,
    predict_videos,
)
from distill.evaluation.prediction_files.files import (
    LABEL_HEADER,
    PREDICTION_HEADER,
    VideoScores,
    new_csv,
)
from distill.evaluation.prediction_files.segment_files import RATINGS_HEADER
from distill.evaluation.shared_reading import SharedReading
from distill.metrics.ranking import top_classes
from distill.system.atomic_files import replace_atomically
from distill.system.named_reads import open_text
from distill.system.small_files import read_json_object

_DESCRIPTION = "inference.json"


def write_predictions(
    path: str | Path, batches: Iterable[Prediction], top_k: int
) -> Iterator[int]:
    """Writes the `top_k` best classes of every video as CSV, atomically.

    Yields:
      The number of videos written so far, after every batch.
    """
    count = 0
    with new_csv(path, PREDICTION_HEADER) as file:
        for videos in batches:
            top = top_classes(videos.predictions, top_k)
            scores = np.take_along_axis(videos.predictions, top, axis=1)
            rows = zip(videos.ids, top.tolist(), scores.tolist(), strict=True)
            file.writelines(VideoScores(*row).to_csv() for row in rows)
            count += len(videos.ids)
            yield count


def write_labels(path: str | Path, reader: VideoReader) -> Iterator[int]:
    """Writes every video's labels, `id,class class ...`, atomically.

    Of segments it writes the ratings, `VIDEO:START,class score class score
    ...`, scores 0 or 1. Yields counts as `write_predictions` does.

    Raises:
      BadRecordError: A record is bad, or there is none.
    """
    rated, count = reader.schema.segment_labels, 0
    with new_csv(path, RATINGS_HEADER if rated else LABEL_HEADER) as file:
        for batch in reader.read_once():
            labels = batch["labels"].numpy()
            known = batch["label_weights"].numpy() if rated else labels
            for video_id, row, shown in zip(
                batch["id"].numpy(), labels, known, strict=True
            ):
                words = [
                    f"{label} {row[label]:d}" if rated else str(label)
                    for label in np.flatnonzero(shown)
                ]
                file.write(f"{name_video(video_id)},{' '.join(words)}\n")
            count += len(labels)
            yield count


def write_shared_predictions(
    path: str | Path,
    batches: Iterable[Prediction],
    top_k: int,
    sharing: SharedReading,
    reader: VideoReader,
) -> Iterator[int]:
    """Writes the predictions of all workers as one CSV, atomically.

    Every worker writes its videos beside the file, in a directory that all
    machines see. The chief joins these files: in the order of one process if
    the workers divide batches, else worker after worker. Yields the number of
    this worker's videos so far, after every batch.
    """
    workers = sharing.workers
    if workers.num_workers == 1:
        yield from write_predictions(path, batches, top_k)
        return
    paths = sharing.part_files(path)
    yield from write_predictions(paths[workers.rank], batches, top_k)
    workers.wait()
    if not workers.is_chief:
        return
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open_text(own)) for own in paths]
        for file in files:
            file.readline()
        with new_csv(path, PREDICTION_HEADER) as joined:
            if sharing.divides_batches(reader):
                joined.writelines(_interleave(files, reader.batch_size))
            else:
                joined.writelines(itertools.chain(*files))
    for own in paths:
        own.unlink()


def join_predictions(path: str | Path, parts: Iterable[Path]) -> int:
    """Writes the lines of prediction files, one after the other, as one.

    Returns:
      The number of videos.
    """
    count = 0
    with new_csv(path, PREDICTION_HEADER) as joined:
        for part in parts:
            with open_text(part) as file:
                file.readline()
                for line in file:
                    joined.write(line)
                    count += 1
    return count


def _interleave(files: Sequence[TextIO], batch_size: int) -> Iterator[str]:
    while lines := [
        line for file in files for line in itertools.islice(file, batch_size)
    ]:
        yield from lines


def choose_shard(files: list[str], shard: str | None) -> list[str]:
    """Returns the files of a shard `i,n`: every n-th from file i on.

    Raises:
      ValueError: `shard` has another form, or the process gets no file.
    """
    if shard is None:
        return files
    numbers = [text.strip() for text in shard.split(",")]
    if len(numbers) != 2 or not all(text.isdecimal() for text in numbers):
        raise ValueError(f"--shard must be i,n such as 0,4, got {shard!r}.")
    index, count = map(int, numbers)
    if not index < count:
        raise ValueError(f"--shard={shard}: i must be from 0 to n - 1.")
    if not files[index::count]:
        raise ValueError(
            f"--shard={shard}: there are {len(files)} files, none for this "
            "process."
        )
    return files[index::count]


@dataclasses.dataclass(frozen=True)
class InferenceFiles:
    """A directory with a CSV file of predictions for every input file.

    A CSV file has the name of its input, whose size a hidden file beside it
    notes. A directory holds the `top_k` classes of one `source`: the identity
    of a network, as JSON values.
    """

    directory: Path
    source: dict[str, Any]
    top_k: int

    def prepare(self, files: list[str]) -> None:
        """Checks the names of the files, and describes the directory.

        Raises:
          ValueError: The directory holds predictions of another source, or
            two files have the same name.
        """
        names: dict[Path, str] = {}
        for file in files:
            other = names.setdefault(self.path(file), file)
            if other != file:
                raise ValueError(
                    f"{other} and {file} would both be written to "
                    f"{self.path(file)}: give them an --output_dir each."
                )
        description = self.directory / _DESCRIPTION
        expected = self.source | {"top_k": self.top_k}
        if not description.exists():
            with replace_atomically(description) as temporary:
                temporary.write_text(json.dumps(expected, indent=2) + "\n")
            return
        try:
            stored = read_json_object(description)
        except ValueError as error:
            raise ValueError(
                f"{description} does not describe predictions: {error}."
            ) from error
        if stored != expected:
            raise ValueError(
                f"{self.directory} holds predictions of {stored}, not of "
                f"{expected}: give another --output_dir."
            )

    def path(self, file: str) -> Path:
        """Returns the CSV file of an input file."""
        name = name_of(file).removesuffix(".tfrecord")
        return self.directory / f"{name}.csv"

    def write(
        self, network: ScoredNetwork, reader: VideoReader
    ) -> Iterator[str]:
        """Writes the missing CSV files; yields a message for each input.

        Raises:
          ValueError: A CSV file was made of an input of another size.
        """
        self.prepare(reader.files)
        for file, size in reader.file_sizes().items():
            if (kept := self.kept(file, size)) is not None:
                yield kept
                continue
            count = self.write_file(network, reader, file, size)
            yield (
                f"wrote the predictions of {count} videos to {self.path(file)}"
            )

    def kept(self, file: str, size: int) -> str | None:
        """Returns a message if the CSV file of an input is there.

        Raises:
          ValueError: It was made of an input of another size.
        """
        path = self.path(file)
        if not path.exists():
            return None
        return f"kept {path}{self._check_input(path, file, size)}"

    def write_file(
        self, network: ScoredNetwork, reader: VideoReader, file: str, size: int
    ) -> int:
        """Writes the CSV file of an input; returns its number of videos."""
        path = self.path(file)
        one_file = dataclasses.replace(reader, files=[file])
        with _noted_input(path, size):
            counts = write_predictions(
                path, predict_videos(network, one_file), self.top_k
            )
            return max(counts, default=0)

    def _check_input(self, path: Path, file: str, size: int) -> str:
        """Returns words on an input that is not known; ValueError if other."""
        try:
            written = read_json_object(_input_note(path)).get("bytes")
        except FileNotFoundError:
            return " (of an earlier version; its input is not compared)"
        if written != size:
            raise ValueError(
                f"{path} was made of a file of {written} bytes, but {file} has "
                f"{size}: remove it, or give another --output_dir."
            )
        return ""


@contextlib.contextmanager
def _noted_input(path: Path, size: int) -> Iterator[None]:
    """Notes the size of a CSV file's input while the body writes the file."""
    note = _input_note(path)
    # First, so that no CSV file lacks it.
    with replace_atomically(note) as temporary:
        temporary.write_text(json.dumps({"bytes": size}) + "\n")
    try:
        yield
    finally:
        if not path.exists():
            note.unlink(missing_ok=True)


def _input_note(path: Path) -> Path:
    return path.with_name(f".{path.name}.input.json")

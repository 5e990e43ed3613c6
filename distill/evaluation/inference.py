"""Predictions of videos as a CSV file in the starter code's form."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import Prediction
from distill.evaluation.prediction_files.files import PREDICTION_HEADER
from distill.evaluation.shared_reading import SharedReading
from distill.metrics.ranking import top_classes
from distill.system.atomic_files import replace_atomically


def format_predictions(videos: Prediction, top_k: int) -> Iterator[str]:
    """Yields a CSV line for each video: `id,class score class score ...`.

    Args:
      videos: A batch.
      top_k: Classes a video, best first; scores with six decimals.
    """
    top = top_classes(videos.predictions, top_k)
    scores = np.take_along_axis(videos.predictions, top, axis=1)
    pairs = "%d %.6f " * top.shape[1]
    row = np.empty((2 * top.shape[1],), dtype=object)
    for video_id, classes, values in zip(
        videos.ids, top.tolist(), scores.tolist(), strict=True
    ):
        row[0::2], row[1::2] = classes, values
        yield f"{video_id},{(pairs % tuple(row)).rstrip()}\n"


def write_predictions(
    path: str | Path, batches: Iterable[Prediction], top_k: int
) -> Iterator[int]:
    """Writes predictions as CSV, whole or not at all.

    Args:
      path: The file to write.
      batches: Batches of videos.
      top_k: Classes a video.

    Yields:
      The number of videos written so far, after every batch.
    """
    count = 0
    with replace_atomically(path) as temporary:
        with open(temporary, "w", newline="") as file:
            file.write(f"{PREDICTION_HEADER}\n")
            for videos in batches:
                file.writelines(format_predictions(videos, top_k))
                count += len(videos.ids)
                yield count


def write_shared_predictions(
    path: str | Path,
    batches: Iterable[Prediction],
    top_k: int,
    sharing: SharedReading,
    reader: VideoReader,
) -> Iterator[int]:
    """Writes what workers predict as one CSV, whole or not at all.

    Each writes its videos beside the file, which must lie in a directory of
    all machines; the chief joins them: in the order of one process where
    workers take turns, else those of each worker after another.

    Args:
      path: The file to write.
      batches: This worker's.
      top_k: Classes a video.
      sharing: How the workers divide the videos.
      reader: Reads the videos.

    Yields:
      The number of this worker's videos so far, after every batch.
    """
    workers = sharing.workers
    if workers.num_workers == 1:
        yield from write_predictions(path, batches, top_k)
        return
    path = Path(path)
    parts = [
        path.with_name(f".{path.name}.{index}-of-{workers.num_workers}.part")
        for index in range(workers.num_workers)
    ]
    yield from write_predictions(parts[workers.rank], batches, top_k)
    workers.wait()
    if not workers.is_chief:
        return
    with contextlib.ExitStack() as stack:
        files = [
            stack.enter_context(open(part, encoding="utf-8")) for part in parts
        ]
        for file in files:
            file.readline()
        with replace_atomically(path) as temporary:
            with open(temporary, "w", encoding="utf-8", newline="") as joined:
                joined.write(f"{PREDICTION_HEADER}\n")
                if sharing.takes_turns(reader):
                    joined.writelines(_in_turns(files, reader.batch_size))
                else:
                    joined.writelines(itertools.chain(*files))
    for part in parts:
        part.unlink()


def _in_turns(files, batch_size: int) -> Iterator[str]:
    """Yields a batch's lines of each file in turn, until none has more."""
    while lines := [
        line for file in files for line in itertools.islice(file, batch_size)
    ]:
        yield from lines

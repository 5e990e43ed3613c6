"""Predictions of videos as a CSV file in the starter code's form."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from distill.atomic_files import replace_atomically
from distill.evaluation import Prediction
from distill.metrics.ranking import top_classes
from distill.predictions.files import PREDICTION_HEADER


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

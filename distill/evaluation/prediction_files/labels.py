"""Ground-truth labels of records as a CSV file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from distill.data.bad_records import name_video
from distill.data.pipeline import VideoReader
from distill.evaluation.prediction_files.files import LABEL_HEADER, new_csv


def write_labels(path: str | Path, reader: VideoReader) -> Iterator[int]:
    """Writes every video's labels, `id,class class ...`, atomically.

    Yields:
      The number of videos written so far, after every batch.

    Raises:
      BadRecordError: A record is bad, or there is none.
      ValueError: The records are segments, which have ratings, not labels.
    """
    if reader.schema.segment_labels:
        raise ValueError(
            "--segment_labels: a label CSV is of whole videos, not of segments."
        )
    count = 0
    with new_csv(path, LABEL_HEADER) as file:
        for batch in reader.read_once():
            labels = batch["labels"].numpy()
            for video_id, row in zip(batch["id"].numpy(), labels, strict=True):
                name = name_video(video_id)
                classes = " ".join(map(str, np.flatnonzero(row)))
                file.write(f"{name},{classes}\n")
            count += len(labels)
            yield count

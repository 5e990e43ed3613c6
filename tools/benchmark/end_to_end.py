"""From records to a CSV of predictions, teacher and student."""

import tempfile
from pathlib import Path

from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import predict_videos
from distill.evaluation.inference import write_predictions
from distill.reporting.timing import time_interleaved
from tools.benchmark import forward, train
from tools.benchmark.timing import Row


def measure_end_to_end(
    files: list[str], sizes: forward.Sizes, repeats: int
) -> list[Row]:
    """Returns the row of the student's time against the teacher's.

    Args:
      files: Frame-level files of the sizes.
      sizes: The networks.
      repeats: Passes over the files by each network.
    """
    networks = train.build_networks(sizes, "float32")
    reader = VideoReader(
        train.make_schema_of(sizes), files, sizes.batch_size, need_labels=False
    )
    with tempfile.TemporaryDirectory() as folder:

        def infer(role):
            output = str(Path(folder) / f"{role}.csv")
            videos = predict_videos(networks[role], reader)
            for _ in write_predictions(output, videos, 20):
                pass

        seconds = time_interleaved(
            {
                role: lambda role=role: infer(role)
                for role in ("teacher", "student")
            },
            repeats,
        )
    return [
        Row(
            "end_to_end",
            f"records to CSV, student of every {sizes.every_n}th frame",
            "s",
            seconds["student"],
            seconds["teacher"],
            "teacher",
            target="<= 0.16 x baseline",
        )
    ]

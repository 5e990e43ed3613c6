"""From records to a CSV of predictions: teacher and student."""

import tempfile
from pathlib import Path

from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import predict_videos
from distill.evaluation.inference import write_predictions
from distill.reporting.timing import time_interleaved
from tools.benchmark.networks import hierarchical_lstms, make_network
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row
from tools.benchmark.videos import make_schema_of, written_videos


def measure(plan: Plan) -> list[Row]:
    """Returns the row of the student's time; the teacher's is the baseline."""
    sizes = plan.sizes
    case = hierarchical_lstms(sizes, "inference", "joint")
    networks = {
        role: make_network(case, sizes, role) for role in ("teacher", "student")
    }
    with (
        written_videos(plan) as files,
        tempfile.TemporaryDirectory() as folder,
    ):
        reader = VideoReader(
            make_schema_of(sizes), files, sizes.batch_size, need_labels=False
        )

        def infer(role: str) -> None:
            output = str(Path(folder) / f"{role}.csv")
            videos = predict_videos(networks[role], reader)
            for _ in write_predictions(output, videos, 20):
                pass

        seconds = time_interleaved(
            {
                "teacher": lambda: infer("teacher"),
                "student": lambda: infer("student"),
            },
            plan.slow_repeats,
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

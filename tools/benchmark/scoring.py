"""From records to metrics, and to a CSV of predictions."""

import tempfile
from collections.abc import Callable

import keras

from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import evaluate_network, predict_videos
from distill.evaluation.inference import write_predictions
from distill.networks.network import Network, video_inputs
from distill.reporting.timing import time_interleaved
from distill.system.storage import to_path
from tools.benchmark import forward
from tools.benchmark.networks import Case, hierarchical_lstms, make_network
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row
from tools.benchmark.videos import make_schema_of, written_videos

_TOP_K = 20
_SMALL_CELLS = 64


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of the full-size student and of a small one."""
    sizes = plan.sizes
    small = {"lstm_cells": min(_SMALL_CELLS, sizes.cells)}
    cases = (
        hierarchical_lstms(sizes, "student", ""),
        Case("small student", forward.MODEL, small),
    )
    rows = []
    with written_videos(plan) as files:
        for case in cases:
            network = make_network(case, sizes, "student")
            rows += _measure_network(case.name, network, files, plan)
            keras.backend.clear_session()
    return rows


def _measure_network(
    name: str, network: Network, files: list[str], plan: Plan
) -> list[Row]:
    reader = VideoReader(
        make_schema_of(plan.sizes),
        files,
        plan.sizes.batch_size,
        budget=network.budget,
    )
    batches = [video_inputs(batch) for batch in reader.read_once()]

    def read() -> None:
        for _ in reader.read_once():
            pass

    def predict() -> None:
        for batch in batches:
            network.compiled_predict(batch).numpy()

    with tempfile.TemporaryDirectory() as folder:
        output = str(to_path(folder) / "predictions.csv")

        def infer() -> None:
            videos = predict_videos(network, reader)
            for _ in write_predictions(output, videos, _TOP_K):
                pass

        functions: dict[str, Callable[[], object]] = {
            "metrics": lambda: evaluate_network(network, reader),
            "CSV": infer,
            "reading": read,
            "forward": predict,
        }
        seconds = time_interleaved(functions, plan.slow_repeats)
    parts = seconds["reading"], seconds["forward"]
    return [
        Row(
            "scoring",
            f"records to {result}, {name}",
            "s",
            seconds[result],
            sum(parts),
            "reading, then predicting",
            max(parts),
            "<= 1.1 x floor",
            details=seconds,
        )
        for result in ("metrics", "CSV")
    ]

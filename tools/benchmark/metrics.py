"""Speed of the metrics of many videos."""

from collections.abc import Iterator

import numpy as np

from distill.metrics.accumulator import VideoMetrics
from distill.reporting.timing import time_interleaved
from tools.benchmark.plain_metrics import PlainVideoMetrics
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row

_BATCH_SIZE = 32
_SHARED = ("gap", "hit_at_one", "perr", "mean_average_precision_at_k")


def make_predictions(
    num_videos: int, num_classes: int, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields batches of predictions and labels `[batch, classes]`.

    A video has about three labels. Its predictions are small for most classes
    and greater for the true ones.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, num_videos, _BATCH_SIZE):
        shape = (min(_BATCH_SIZE, num_videos - start), num_classes)
        labels = rng.random(shape, np.float32) < 3 / num_classes
        logits = rng.standard_normal(shape, np.float32) * 2 - 6 + 4 * labels
        yield 1 / (1 + np.exp(-logits)), labels


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of the metrics' speed.

    Raises:
      ValueError: The plain formulation gives other values.
    """
    num_videos, num_classes = plan.metric_videos, plan.sizes.num_classes
    batches = list(make_predictions(num_videos, num_classes))

    def gather(metrics: PlainVideoMetrics | VideoMetrics) -> dict[str, float]:
        for predictions, labels in batches:
            metrics.update(predictions, labels)
        return metrics.result()

    functions = {
        "plain": lambda: gather(PlainVideoMetrics(num_classes)),
        "the same": lambda: gather(VideoMetrics(exact_map=False)),
        "exact mAP too": lambda: gather(VideoMetrics()),
    }
    plain, ours = functions["plain"](), functions["exact mAP too"]()
    for name in _SHARED:
        if not abs(plain[name] - ours[name]) < 1e-6:
            raise ValueError(
                f"{name} is {plain[name]} by the plain formulation, "
                f"{ours[name]} by ours."
            )
    seconds = time_interleaved(functions, plan.repeats)
    return [
        Row(
            "metrics",
            f"{num_videos:,} videos, {num_classes} classes, {what}",
            "videos/s",
            num_videos / seconds[what],
            num_videos / seconds["plain"],
            "row by row, heaps",
            target=target,
        )
        for what, target in (
            ("the same", ">= 30 x baseline"),
            ("exact mAP too", ""),
        )
    ]

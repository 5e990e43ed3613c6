"""Metrics of many videos: their speed, and the memory that they take."""

import resource
import subprocess
import sys

import numpy as np

from distill.metrics.accumulator import VideoMetrics
from distill.reporting.timing import time_interleaved
from tools.benchmark.plain_metrics import PlainVideoMetrics
from tools.benchmark.predictions import read_memory_megabytes
from tools.benchmark.timing import Row

_BATCH_SIZE = 32
_SHARED = ("gap", "hit_at_one", "perr", "mean_average_precision_at_k")


def make_predictions(num_videos: int, num_classes: int, seed: int = 0):
    """Yields batches of predictions and labels, three a video or so.

    Predictions are small but for few classes, true ones among them.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, num_videos, _BATCH_SIZE):
        shape = (min(_BATCH_SIZE, num_videos - start), num_classes)
        labels = rng.random(shape, np.float32) < 3 / num_classes
        logits = rng.standard_normal(shape, np.float32) * 2 - 6 + 4 * labels
        yield 1 / (1 + np.exp(-logits)), labels


def measure_metrics(
    num_videos: int, num_classes: int, repeats: int
) -> list[Row]:
    """Returns the row of the metrics' speed.

    Raises:
      ValueError: The plain formulation gives other values.
    """
    batches = list(make_predictions(num_videos, num_classes))

    def gather(metrics):
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
                f"{name} is {plain[name]} row by row, {ours[name]} here."
            )
    seconds = time_interleaved(functions, repeats)
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


def measure_memory(fewer: int, more: int, num_classes: int) -> list[Row]:
    """Returns the row of the peak memory of processes that gather metrics.

    Args:
      fewer: Videos of the process that the other is held against.
      more: Videos of the other.
      num_classes: Classes of the predictions.
    """
    megabytes = [_peak_megabytes(count, num_classes) for count in (fewer, more)]
    return [
        Row(
            "memory",
            f"evaluation of {more:,} videos, {num_classes} classes",
            "MB",
            megabytes[1],
            megabytes[0],
            f"{fewer:,} videos",
            target="<= 1.1 x baseline",
        )
    ]


def _peak_megabytes(num_videos: int, num_classes: int) -> float:
    """Returns what a process of its own takes at most."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(num_videos), str(num_classes)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"The process that was to be measured: {done.stderr}")
    return float(done.stdout)


def _own_peak_megabytes() -> float:
    """Returns the most memory that this process has had."""
    try:
        # Its own: a process's maximum of `getrusage` is its parent's at first.
        return read_memory_megabytes("VmHWM")
    except OSError:
        pass
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (2**20 if sys.platform == "darwin" else 1024)


def _run(num_videos: int, num_classes: int) -> None:
    """Gathers metrics as evaluation does, then prints the peak in MB."""
    # Evaluation's own imports are part of what it takes.
    import distill.evaluation.evaluate  # noqa: F401

    metrics = VideoMetrics()
    for predictions, labels in make_predictions(num_videos, num_classes):
        metrics.update(predictions, labels)
    metrics.result()
    print(_own_peak_megabytes())


if __name__ == "__main__":
    _run(*map(int, sys.argv[1:]))

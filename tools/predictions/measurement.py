"""Speed and memory of evaluation and inference on drawn predictions."""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from distill.evaluation.evaluate import Prediction
from distill.evaluation.inference import write_predictions
from distill.metrics.accumulator import VideoMetrics
from tools.predictions.stream import NUM_SAMPLES, PredictionStream
from tools.process_memory import peak_bytes, resident_bytes

WORKS = ("evaluation", "inference")


class Sampler:
    """Samples the process's memory at every tenth of the videos.

    Attributes:
      samples: Dicts of `videos`, `megabytes` (resident) and `temporary_bytes`
        (on the disk).
      seconds_drawing: Time that drawing the predictions took.
    """

    def __init__(self, num_videos: int):
        self._num_videos = num_videos
        self._done = 0
        self.samples: list[dict[str, float]] = []
        self.seconds_drawing = 0.0

    def watch(self, batches: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yields the batches and samples after the caller has used them."""
        iterator = iter(batches)
        self._sample()
        while True:
            started = time.perf_counter()
            batch = next(iterator, None)
            self.seconds_drawing += time.perf_counter() - started
            if batch is None:
                return
            yield batch
            before = self._done
            self._done += len(batch.ids)
            tenth = self._num_videos / NUM_SAMPLES
            if self._done // tenth > before // tenth:
                self._sample()

    def _sample(self) -> None:
        self.samples.append(
            {
                "videos": self._done,
                "megabytes": resident_bytes() / 2**20,
                "temporary_bytes": count_temporary_bytes(),
            }
        )


def count_temporary_bytes() -> int:
    """Returns the size of the open temporary files that were unlinked."""
    sizes = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            name, found = os.readlink(entry), os.stat(entry)
        except OSError:
            continue  # The descriptor of this very listing is closed by now.
        if name.startswith(tempfile.gettempdir()) and not found.st_nlink:
            sizes.append(found.st_size)
    return sum(sizes)


def evaluate(stream: PredictionStream, sampler: Sampler) -> dict[str, float]:
    """Returns all metrics, with the exact mAP, as evaluation gathers them."""
    metrics = VideoMetrics(stream.top_k)
    for batch in sampler.watch(stream.batches()):
        metrics.update(batch.predictions, batch.labels)
    return metrics.result()


def infer(
    stream: PredictionStream, sampler: Sampler, path: str | Path
) -> dict[str, float]:
    """Writes a CSV file as inference does; returns its `megabytes`."""
    batches = sampler.watch(stream.batches())
    for _ in write_predictions(path, batches, stream.top_k):
        pass
    return {"csv_megabytes": os.path.getsize(path) / 1e6}


def measure(work: str, stream: PredictionStream) -> dict[str, Any]:
    """Runs one of `WORKS` in this process.

    Returns:
      Dict of `work`, `videos_per_second` (without drawing), `seconds`,
      `seconds_drawing`, `samples` (see `Sampler`; the first is before the
      first video), `peak_megabytes`, `bytes_per_video` (growth of the memory
      after the first tenth, by least squares) and `result`.
    """
    sampler = Sampler(stream.num_videos)
    started = time.perf_counter()
    if work == "evaluation":
        result = evaluate(stream, sampler)
    else:
        with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
            result = infer(stream, sampler, Path(folder) / "predictions.csv")
    seconds = time.perf_counter() - started
    later = sampler.samples[1:]
    growth, _ = np.polyfit(
        [sample["videos"] for sample in later],
        [sample["megabytes"] * 2**20 for sample in later],
        deg=1,
    )
    return {
        "work": work,
        "videos_per_second": stream.num_videos
        / (seconds - sampler.seconds_drawing),
        "seconds": seconds,
        "seconds_drawing": sampler.seconds_drawing,
        "samples": sampler.samples,
        "peak_megabytes": peak_bytes() / 2**20,
        "bytes_per_video": float(growth),
        "result": result,
    }

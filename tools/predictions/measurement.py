"""Speed and memory of evaluation and inference on drawn predictions."""

import dataclasses
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
from distill.models.argument_checks import check_at_least
from tools.process_memory import peak_bytes, resident_bytes

WORKS = ("evaluation", "inference")
_NUM_SAMPLES = 10
_NUM_LABELS = 3
_MAX_SCORE_OF_OTHERS = 0.5


@dataclasses.dataclass(frozen=True)
class PredictionStream:
    """Random predictions and labels.

    Attributes:
      num_videos: Videos; each tenth of them is a batch or more.
      num_classes: Classes.
      batch_size: Videos a batch.
      seed: Seed of the predictions and labels.
      top_k: Classes a video in GAP and in the CSV file.
    """

    num_videos: int = 1_000_000
    num_classes: int = 3862
    batch_size: int = 1024
    seed: int = 0
    top_k: int = 20

    def __post_init__(self):
        """Checks the fields."""
        check_at_least(
            _NUM_SAMPLES * self.batch_size, num_videos=self.num_videos
        )
        check_at_least(1, batch_size=self.batch_size, top_k=self.top_k)
        check_at_least(_NUM_LABELS, num_classes=self.num_classes)

    def batches(self) -> Iterator[Prediction]:
        """Yields batches; equal fields give equal batches.

        A video has one to three labels, more often of the first classes, with
        scores from 0 to 1. Other scores are below 0.5, and most are small.
        """
        random = np.random.default_rng(self.seed)
        for start in range(0, self.num_videos, self.batch_size):
            size = min(self.batch_size, self.num_videos - start)
            scores = random.random((size, self.num_classes), np.float32)
            # To the eighth power: cheaper than an exponential.
            for _ in range(3):
                np.multiply(scores, scores, out=scores)
            scores *= _MAX_SCORE_OF_OTHERS
            classes = random.random((size, _NUM_LABELS)) ** 3 * self.num_classes
            classes = classes.astype(np.int64)
            rows = np.arange(size)[:, None]
            labels = np.zeros(scores.shape, bool)
            labels[rows, classes] = True
            scores[rows, classes] = random.random(classes.shape, np.float32)
            ids = [f"v{index:07d}" for index in range(start, start + size)]
            yield Prediction(ids, scores, labels)


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
            tenth = self._num_videos / _NUM_SAMPLES
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

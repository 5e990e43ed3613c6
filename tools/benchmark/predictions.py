"""Very many predictions through evaluation and inference, and their memory.

Each is measured in a process of its own: `measure_predictions` starts them.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from distill.evaluation.evaluate import Prediction
from distill.evaluation.inference import write_predictions
from distill.metrics.accumulator import VideoMetrics
from distill.models.argument_checks import check_at_least

_SAMPLES = 10
_LABELS = 3
_MOST_OF_OTHERS = 0.5
WORKS = ("evaluation", "inference")


@dataclasses.dataclass(frozen=True)
class PredictionStream:
    """Predictions and labels that are drawn, not computed.

    Attributes:
      num_videos: Videos.
      num_classes: Classes of each.
      batch_size: Videos a batch.
      seed: Seed of all of it.
      top_k: Classes a video in GAP and in the CSV file.
    """

    num_videos: int = 1_000_000
    num_classes: int = 3862
    batch_size: int = 1024
    seed: int = 0
    top_k: int = 20

    def __post_init__(self):
        """Checks the fields; every tenth of the videos is a batch or more."""
        check_at_least(_SAMPLES * self.batch_size, num_videos=self.num_videos)
        check_at_least(1, batch_size=self.batch_size, top_k=self.top_k)
        check_at_least(_LABELS, num_classes=self.num_classes)

    def batches(self) -> Iterator[Prediction]:
        """Yields batches, equal for equal fields.

        Most scores are small, and below 0.5; a video has one to three labels,
        of the first classes more often, with scores from 0 to 1.
        """
        random = np.random.default_rng(self.seed)
        for start in range(0, self.num_videos, self.batch_size):
            size = min(self.batch_size, self.num_videos - start)
            scores = random.random((size, self.num_classes), np.float32)
            # To the eighth power: cheaper than an exponential.
            for _ in range(3):
                np.multiply(scores, scores, out=scores)
            scores *= _MOST_OF_OTHERS
            classes = random.random((size, _LABELS)) ** 3 * self.num_classes
            classes = classes.astype(np.int64)
            rows = np.arange(size)[:, None]
            labels = np.zeros(scores.shape, bool)
            labels[rows, classes] = True
            scores[rows, classes] = random.random(classes.shape, np.float32)
            ids = [f"v{index:07d}" for index in range(start, start + size)]
            yield Prediction(ids, scores, labels)


class Sampler:
    """Notes the process's memory at every tenth of the videos.

    Attributes:
      samples: Dicts of `videos`, `megabytes` resident and `temporary_bytes`
        on the disk.
      seconds_drawing: What drawing the predictions took.
    """

    def __init__(self, num_videos: int):
        self._num_videos = num_videos
        self._done = 0
        self.samples: list[dict[str, float]] = []
        self.seconds_drawing = 0.0

    def watch(self, batches: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yields batches; what happens between them is what is measured."""
        iterator = iter(batches)
        self._note()
        while True:
            started = time.perf_counter()
            batch = next(iterator, None)
            self.seconds_drawing += time.perf_counter() - started
            if batch is None:
                return
            yield batch
            before = self._done
            self._done += len(batch.ids)
            tenth = self._num_videos / _SAMPLES
            if self._done // tenth > before // tenth:
                self._note()

    def _note(self) -> None:
        self.samples.append(
            {
                "videos": self._done,
                "megabytes": read_memory_megabytes("VmRSS"),
                "temporary_bytes": count_temporary_bytes(),
            }
        )


def count_temporary_bytes() -> int:
    """Returns the size of the open files that have no name any more."""
    sizes = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            name, found = os.readlink(entry), os.stat(entry)
        except OSError:
            continue  # What listed the folder is closed by now.
        if name.startswith(tempfile.gettempdir()) and not found.st_nlink:
            sizes.append(found.st_size)
    return sum(sizes)


def evaluate(stream: PredictionStream, sampler: Sampler) -> dict[str, float]:
    """Returns all metrics, exact mAP among them, as evaluation gathers them."""
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
    """Does one of `WORKS` in this process.

    Returns:
      Dict of `work`, `videos_per_second` (drawing left out), `seconds`,
      `seconds_drawing`, `samples` (as of `Sampler`; the first before the first
      video), `peak_megabytes`, `bytes_per_video` (by which memory grows from
      the first tenth on; the straight line of least squares) and `result`.
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
        "peak_megabytes": read_memory_megabytes("VmHWM"),
        "bytes_per_video": float(growth),
        "result": result,
    }


def measure_predictions(
    stream: PredictionStream, observe: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Does all of `WORKS`, each in a process of its own.

    Args:
      stream: The predictions.
      observe: Is told what is begun.

    Raises:
      OSError: A process failed; for want of room on the disk, for example.
    """
    found = []
    for work in WORKS:
        observe(f"{work} of {stream.num_videos:,} videos ...")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                __name__,
                work,
                json.dumps(dataclasses.asdict(stream)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(f"The process that was to be measured: {done.stderr}")
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


if __name__ == "__main__":
    print(
        json.dumps(
            measure(sys.argv[1], PredictionStream(**json.loads(sys.argv[2])))
        )
    )


def read_memory_megabytes(kind: str) -> float:
    """Returns this process's `VmRSS`, or its peak, `VmHWM`.

    Raises:
      OSError: The system does not say.
    """
    with open("/proc/self/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {kind}.")

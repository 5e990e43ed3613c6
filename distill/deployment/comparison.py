"""Artifacts compared with the network that they were exported from."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from distill.data.pipeline import VideoReader
from distill.deployment.artifacts import TOLERANCES
from distill.deployment.interface import VideoInterface
from distill.deployment.runtimes import Runtime
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.segments import SegmentMetrics
from distill.models.quantisation import quantize
from distill.networks.network import video_inputs

CHECKPOINT = "checkpoint"
_BATCH_SIZES = (1, 64)
# Of a median time: as many calls as take so long, within bounds.
_SECONDS, _LEAST_CALLS, _MOST_CALLS = 0.5, 3, 50
_MAP = {False: "mean_average_precision", True: "segment_mean_average_precision"}


class Comparison:
    """Videos on which artifacts are compared with their network, one by one.

    A runtime is needed while it is scored alone, so that one large network at
    a time is in memory. The predictions of the network the artifacts were
    exported from wait in a file meanwhile.

    Args:
      reader: The videos, with labels.
      interface: Inputs and outputs of the runtimes.
      top_k: Classes in GAP.
      file: A temporary file: 4 bytes a video and class.
      observe: Called with the number of scored videos, those of every runtime
        counted, after every batch.
    """

    def __init__(
        self,
        reader: VideoReader,
        interface: VideoInterface,
        top_k: int,
        file: IO[bytes],
        observe: Callable[[int], None] | None = None,
    ):
        # Larger batches are no faster, and their activations need memory.
        self._reader = dataclasses.replace(
            reader,
            batch_size=min(reader.batch_size, _BATCH_SIZES[-1]),
            budget=interface.reading_budget,
        )
        self._interface = interface
        self._top_k = top_k
        self._observe = observe
        self._file = file
        self._num_scored = 0

    def score_checkpoint(
        self, runtime: Runtime
    ) -> tuple[dict[str, float], int]:
        """Scores the exported network, whose predictions are kept.

        Returns:
          What `score` returns, and the number of videos.
        """

        def keep(found: np.ndarray) -> np.ndarray:
            np.save(self._file, found)
            return found

        return self._score(runtime, keep), self._num_scored

    def score(self, runtime: Runtime) -> dict[str, float]:
        """Scores a runtime, after the exported network.

        Returns:
          Its `gap`, `mean_average_precision` (segment mAP for segments) and
          `largest_difference` of a probability from the network's.
        """
        self._file.seek(0)
        return self._score(runtime, lambda found: np.load(self._file))

    def _score(
        self, runtime: Runtime, expect: Callable[[np.ndarray], np.ndarray]
    ) -> dict[str, float]:
        of_segments = self._reader.schema.segment_labels
        metric = SegmentMetrics() if of_segments else VideoMetrics(self._top_k)
        differences = []
        for batch in self._reader.read_once():
            labels = batch["labels"].numpy()
            rated = [batch["label_weights"].numpy()] if of_segments else []
            found = runtime(to_arrays(batch, self._interface))
            metric.update(found, labels, *rated)
            differences.append(np.max(np.abs(found - expect(found))))
            self._num_scored += len(labels)
            if self._observe is not None:
                self._observe(self._num_scored)
        result = metric.result()
        return {
            "gap": result["gap"],
            "mean_average_precision": result[_MAP[of_segments]],
            # The largest, or NaN where there is one.
            "largest_difference": float(np.max(differences)),
        }

    def time(self, runtime: Runtime) -> dict[str, float]:
        """Times a runtime on real videos.

        Returns:
          `milliseconds_at_1` and `milliseconds_at_64`: the median time of a
          batch of so many videos, divided by their number.
        """
        num_videos = len(next(iter(self._timed_batch.values())))
        times = {}
        for batch_size in _BATCH_SIZES:
            rows = np.arange(batch_size) % num_videos
            inputs = {
                key: value[rows] for key, value in self._timed_batch.items()
            }
            seconds = _median_seconds(functools.partial(runtime, inputs))
            times[f"milliseconds_at_{batch_size}"] = 1e3 * seconds / batch_size
        return times

    @functools.cached_property
    def _timed_batch(self) -> dict[str, np.ndarray]:
        reader = dataclasses.replace(self._reader, batch_size=_BATCH_SIZES[-1])
        return to_arrays(next(iter(reader.read_once())), self._interface)


def _median_seconds(call: Callable[[], object]) -> float:
    """Returns the median of calls of `_SECONDS`, after an untimed call."""
    call()
    times: list[float] = []
    while len(times) < _LEAST_CALLS or (
        sum(times) < _SECONDS and len(times) < _MOST_CALLS
    ):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def to_arrays(
    batch: Mapping[str, Any], interface: VideoInterface
) -> dict[str, np.ndarray]:
    """Returns a read batch as runtimes take it, padded to `max_frames`.

    Floats become bytes where the artifact reads bytes.
    """
    inputs = {key: value.numpy() for key, value in video_inputs(batch).items()}
    if "frames" in inputs:
        schema, frames = interface.schema, inputs["frames"]
        if frames.dtype != schema.frame_type:
            frames = quantize(frames, *schema.quantisation_range)
        missing = schema.max_frames - frames.shape[1]
        inputs["frames"] = np.pad(frames, ((0, 0), (0, missing), (0, 0)))
    return inputs


def check_agreement(
    name: str,
    precision: str,
    found: Mapping[str, float],
    expected: Mapping[str, float],
) -> None:
    """Checks that an artifact agrees with its network.

    Raises:
      ValueError: Its GAP or, in float32, a probability differs by more than
        `TOLERANCES` allows.
    """
    tolerance = TOLERANCES[precision]
    off = abs(found["gap"] - expected["gap"])
    difference = found["largest_difference"]
    if off > tolerance or not np.isfinite(difference):
        raise ValueError(
            f"{name} does not agree with the checkpoint: its GAP is "
            f"{found['gap']:.4f} instead of {expected['gap']:.4f} (allowed: "
            f"{tolerance} for {precision}). Leave it out by --formats or "
            "--precisions."
        )
    if precision == "float32" and difference > tolerance:
        raise ValueError(
            f"{name} does not agree with the checkpoint: a probability "
            f"differs by {difference:.1e} (allowed: {tolerance})."
        )

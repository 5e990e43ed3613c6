"""Artifacts compared with the network that they were exported from."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distill.data.pipeline import VideoReader
from distill.deployment.artifacts import TOLERANCES
from distill.deployment.interface import VideoInterface
from distill.deployment.runtimes import Runtime
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.segments import SegmentMetrics
from distill.models.quantisation import quantize
from distill.networks.network import video_inputs
from distill.reporting.timing import time_interleaved

CHECKPOINT = "checkpoint"
_BATCH_SIZES = (1, 64)
_ROUNDS, _CALLS_PER_ROUND = 5, 10
_MAP = {False: "mean_average_precision", True: "segment_mean_average_precision"}


def compare_runtimes(
    runtimes: Mapping[str, Runtime],
    reader: VideoReader,
    interface: VideoInterface,
    top_k: int,
    observe: Callable[[int], None] | None = None,
) -> tuple[dict[str, dict[str, float]], int]:
    """Scores runtimes on the same videos, with `top_k` classes in GAP.

    `observe` is called with the number of videos so far, after every batch.

    Returns:
      By name, a runtime's `gap`, `mean_average_precision` (segment mAP for
      segments) and `largest_difference` of a probability from the runtime
      named `CHECKPOINT`; and the number of videos.
    """
    of_segments = reader.schema.segment_labels
    metrics = {
        name: SegmentMetrics() if of_segments else VideoMetrics(top_k)
        for name in runtimes
    }
    largest = dict.fromkeys(runtimes, 0.0)
    num_videos = 0
    reader = dataclasses.replace(reader, budget=interface.reading_budget)
    for batch in reader.read_once():
        labels = batch["labels"].numpy()
        rated = [batch["label_weights"].numpy()] if of_segments else []
        inputs = to_arrays(batch, interface)
        num_videos += len(labels)
        expected = runtimes[CHECKPOINT](inputs)
        for name, runtime in runtimes.items():
            found = expected if name == CHECKPOINT else runtime(inputs)
            metrics[name].update(found, labels, *rated)
            difference = float(np.max(np.abs(found - expected)))
            largest[name] = max(largest[name], difference)
        if observe is not None:
            observe(num_videos)
    results = {name: metric.result() for name, metric in metrics.items()}
    return {
        name: {
            "gap": result["gap"],
            "mean_average_precision": result[_MAP[of_segments]],
            "largest_difference": largest[name],
        }
        for name, result in results.items()
    }, num_videos


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


def time_runtimes(
    runtimes: Mapping[str, Runtime],
    reader: VideoReader,
    interface: VideoInterface,
) -> dict[str, dict[str, float]]:
    """Times runtimes on real videos, interleaved.

    Returns:
      By name, `milliseconds_at_1` and `milliseconds_at_64`: the median time of
      a batch of so many videos, divided by their number.
    """
    largest = max(_BATCH_SIZES)
    reader = dataclasses.replace(
        reader, batch_size=largest, budget=interface.reading_budget
    )
    batch = to_arrays(next(iter(reader.read_once())), interface)
    num_videos = len(next(iter(batch.values())))
    times: dict[str, dict[str, float]] = {name: {} for name in runtimes}
    for batch_size in _BATCH_SIZES:
        rows = np.arange(batch_size) % num_videos
        inputs = {key: value[rows] for key, value in batch.items()}
        calls = {
            name: lambda run=runtime, inputs=inputs: run(inputs)
            for name, runtime in runtimes.items()
        }
        for name, seconds in time_interleaved(
            calls, _ROUNDS, _CALLS_PER_ROUND
        ).items():
            milliseconds = 1e3 * seconds / batch_size
            times[name][f"milliseconds_at_{batch_size}"] = milliseconds
    return times

"""Artifacts held against the network that they were made of."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.data.pipeline import VideoReader
from distill.deployment.artifacts import TOLERANCES
from distill.deployment.interface import VideoInterface
from distill.deployment.runtimes import Runtime
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.segments import SegmentMetrics
from distill.networks.network import video_inputs
from distill.reporting.timing import time_interleaved

CHECKPOINT = "checkpoint"
_BATCH_SIZES = (1, 64)
_TURNS, _CALLS_A_TURN = 5, 10
_MAP = {False: "mean_average_precision", True: "segment_mean_average_precision"}


@dataclasses.dataclass
class Comparison:
    """What a runtime says of real videos, beside the network itself.

    Attributes:
      gap: Its GAP.
      mean_average_precision: Its mAP (of segments: segment mAP).
      largest_difference: Of all probabilities, from the network's.
    """

    gap: float
    mean_average_precision: float
    largest_difference: float


def compare_runtimes(
    runtimes: Mapping[str, Runtime],
    reader: VideoReader,
    interface: VideoInterface,
    top_k: int,
) -> tuple[dict[str, Comparison], int]:
    """Scores runtimes on the same videos.

    Args:
      runtimes: By name; `CHECKPOINT` is the one the others are held against.
      reader: Reads videos with labels.
      interface: What the runtimes take.
      top_k: Classes a video in GAP.

    Returns:
      The comparison of every runtime, by name; the number of videos.
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
    results = {name: metric.result() for name, metric in metrics.items()}
    return {
        name: Comparison(
            result["gap"], result[_MAP[of_segments]], largest[name]
        )
        for name, result in results.items()
    }, num_videos


def to_arrays(batch: Mapping[str, Any], interface: VideoInterface) -> dict:
    """Returns a read batch as a runtime takes it: frames up to the most."""
    inputs = {key: value.numpy() for key, value in video_inputs(batch).items()}
    if "frames" in inputs:
        missing = interface.schema.max_frames - inputs["frames"].shape[1]
        padding = ((0, 0), (0, missing), (0, 0))
        inputs["frames"] = np.pad(inputs["frames"], padding)
    return inputs


def check_agreement(
    name: str, precision: str, found: Comparison, expected: Comparison
) -> None:
    """Checks that an artifact says what its network says.

    Raises:
      ValueError: Its GAP is further off than `TOLERANCES` allow or, in
        float32, a probability is.
    """
    tolerance = TOLERANCES[precision]
    off = abs(found.gap - expected.gap)
    if off > tolerance or not np.isfinite(found.largest_difference):
        raise ValueError(
            f"{name} does not say what the checkpoint says: its GAP is "
            f"{found.gap:.4f} in place of {expected.gap:.4f} (allowed: "
            f"{tolerance} for {precision}). Leave it out by --formats or "
            "--precisions."
        )
    if precision == "float32" and found.largest_difference > tolerance:
        raise ValueError(
            f"{name} does not say what the checkpoint says: a probability is "
            f"off by {found.largest_difference:.1e} (allowed: {tolerance})."
        )


def time_runtimes(
    runtimes: Mapping[str, Runtime], reader: VideoReader, interface
) -> dict[str, dict[str, float]]:
    """Times runtimes on real videos, taking turns.

    Returns:
      By name, `milliseconds_at_1` and `milliseconds_at_64`: a video's share
      of the median time of a batch of so many.
    """
    largest = max(_BATCH_SIZES)
    reader = dataclasses.replace(
        reader, batch_size=largest, budget=interface.reading_budget
    )
    batch = to_arrays(next(iter(reader.read_once())), interface)
    held = len(next(iter(batch.values())))
    times: dict[str, dict[str, float]] = {name: {} for name in runtimes}
    for batch_size in _BATCH_SIZES:
        rows = np.arange(batch_size) % held
        inputs = {key: value[rows] for key, value in batch.items()}
        calls = {
            name: lambda run=runtime, inputs=inputs: run(inputs)
            for name, runtime in runtimes.items()
        }
        for name, seconds in time_interleaved(
            calls, _TURNS, _CALLS_A_TURN
        ).items():
            milliseconds = 1e3 * seconds / batch_size
            times[name][f"milliseconds_at_{batch_size}"] = milliseconds
    return times

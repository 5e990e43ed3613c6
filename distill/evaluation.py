"""Evaluation: all metrics of one network of a checkpoint."""

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from distill.atomic_files import replace_atomically
from distill.data.pipeline import VideoReader
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.segments import SegmentMetrics
from distill.networks import Network, build_network, video_inputs
from distill.settings import RunSettings
from distill.training import losses
from distill.training.checkpoints import (
    load_result,
    read_progress,
    read_settings,
    weight_names,
)
from models.frame_budget import FrameBudget


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A batch of videos or segments and what a network says of them.

    Attributes:
      ids: `[batch]` strings.
      predictions: `[batch, classes]` float32 in [0, 1].
      labels: `[batch, classes]` booleans.
      label_weights: Of segments, `[batch, classes]` booleans: the rated pairs.
    """

    ids: list[str]
    predictions: np.ndarray
    labels: np.ndarray
    label_weights: np.ndarray | None = None


def load_network(
    checkpoint: str | Path,
    which: str,
    precision: str = "float32",
    budget: FrameBudget | None = None,
) -> Network:
    """Builds the `teacher` or `student` of a checkpoint with its weights.

    Args:
      checkpoint: The file.
      which: The network.
      precision: `float32` or `bfloat16`: what it computes in.
      budget: The frames it sees; None: those it was trained on.

    Raises:
      CheckpointError: The file is no checkpoint.
      ValueError: It holds no such network.
    """
    settings = read_settings(checkpoint)
    network = build_network(
        settings.network(which), settings.data, which, precision
    )
    load_result(checkpoint, which, weight_names(network.model))
    return network if budget is None else network.at_budget(budget)


def predict_videos(
    network: Network, reader: VideoReader
) -> Iterator[Prediction]:
    """Yields a network's predictions of every example, in a fixed order."""
    reader = dataclasses.replace(reader, budget=network.budget)
    for batch in reader.read_once():
        ids = [
            video_id.decode(errors="backslashreplace")
            for video_id in batch.pop("id").numpy()
        ]
        labels = batch["labels"].numpy()
        rated = batch.get("label_weights")
        predictions = network.compiled_predict(video_inputs(batch)).numpy()
        yield Prediction(
            ids, predictions, labels, None if rated is None else rated.numpy()
        )


def evaluate_network(
    network: Network,
    reader: VideoReader,
    *,
    label_loss: str = "CrossEntropyLoss",
    top_k: int = 20,
) -> dict[str, Any]:
    """Scores a network on every video or rated segment of a reader.

    Args:
      network: The network.
      reader: Reads the examples, with labels.
      label_loss: Name of the loss to report.
      top_k: Classes a video that enter GAP.

    Returns:
      Dict of the metrics of `VideoMetrics` with `num_videos`, or of those of
      `SegmentMetrics` with `num_segments`; `loss` (mean over the examples, the
      classes not weighted, of segments over what is rated), `top_k`,
      `examples_per_second` (after the first batch; None if there is no other),
      `device`, `frames` (the most the network sees; None where it reads one
      vector a video), `parameters` and `multiply_adds`.
    """
    of_segments = reader.schema.segment_labels
    reads_frames = reader.schema.frame_features
    metrics = SegmentMetrics() if of_segments else VideoMetrics(top_k)
    num_examples = 0
    total_loss = 0.0
    clock = _Clock()
    for videos in predict_videos(network, reader):
        clock.count(len(videos.ids))
        num_examples += len(videos.ids)
        rated = [videos.label_weights] if of_segments else []
        metrics.update(videos.predictions, videos.labels, *rated)
        total_loss += _sum_losses(label_loss, videos)
    return metrics.result() | {
        "loss": total_loss / num_examples,
        "num_segments" if of_segments else "num_videos": num_examples,
        "top_k": top_k,
        "examples_per_second": clock.rate(),
        "device": device_name(),
        "frames": network.num_frames if reads_frames else None,
        "parameters": network.num_parameters,
        "multiply_adds": network.multiply_adds,
    }


def _sum_losses(label_loss, videos):
    """Returns a batch's label losses summed, in double precision."""
    weights = videos.label_weights
    batch_losses = losses.LABEL_LOSSES[label_loss](
        videos.labels.astype(np.float32),
        videos.predictions,
        None if weights is None else weights.astype(np.float32),
    )
    return float(np.sum(batch_losses, dtype=np.float64))


class _Clock:
    """Measures videos a second, the first batch (which traces) left out."""

    def __init__(self):
        self._start: float | None = None
        self._videos = 0

    def count(self, videos: int) -> None:
        if self._start is None:
            self._start = time.perf_counter()
        else:
            self._videos += videos

    def rate(self) -> float | None:
        if not self._videos:
            return None
        return self._videos / (time.perf_counter() - self._start)


def evaluate_checkpoint(
    checkpoint: str | Path,
    which: str,
    reader: VideoReader,
    *,
    top_k: int = 20,
    network: Network | None = None,
) -> dict[str, Any]:
    """Scores a network of a checkpoint, as `evaluate_network` does.

    Args:
      checkpoint: The file.
      which: `teacher` or `student`.
      reader: Reads the examples, with labels.
      top_k: Classes a video that enter GAP.
      network: The network, if it is loaded already.

    Returns:
      Its result, with `checkpoint`, `which` and `step`.
    """
    settings: RunSettings = read_settings(checkpoint)
    scores = evaluate_network(
        network or load_network(checkpoint, which),
        reader,
        label_loss=settings.training.label_loss,
        top_k=top_k,
    )
    identity = {
        "checkpoint": str(checkpoint),
        "which": which,
        "step": read_progress(checkpoint)["step"],
    }
    return identity | scores


def device_name() -> str:
    """Returns the kind of device that computes: `GPU: its name` or `CPU`."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return "CPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    return f"GPU: {details.get('device_name', gpus[0].name)}"


def write_metrics(path: str | Path, scores: Any) -> None:
    """Writes metrics as JSON, whole or not at all."""
    with replace_atomically(Path(path)) as temporary:
        temporary.write_text(json.dumps(scores, indent=2) + "\n")

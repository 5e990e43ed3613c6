"""Evaluation: all metrics of one network of a checkpoint."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from distill import losses
from distill.checkpoints.checkpoint import (
    read_progress,
    read_settings,
)
from distill.data.bad_records import name_video
from distill.data.pipeline import VideoReader
from distill.evaluation.shared_reading import ALONE, SharedReading
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.segments import SegmentMetrics
from distill.networks.ensemble_file import Ensemble, is_ensemble
from distill.networks.loading import load_network
from distill.networks.network import Network, video_inputs
from distill.system.atomic_files import replace_atomically


class ScoredNetwork(Protocol):
    """The part of a network, cascade or artifact that evaluation uses."""

    budget: Any
    num_frames: int
    num_parameters: int
    macs: int

    def compiled_predict(self, inputs: Mapping[str, Any]) -> tf.Tensor:
        """Returns `predictions` `[batch, classes]` of videos as read."""


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


def predict_videos(
    network: ScoredNetwork, reader: VideoReader, sharing: SharedReading = ALONE
) -> Iterator[Prediction]:
    """Yields a network's predictions of every example, in a fixed order.

    Args:
      network: The network.
      reader: Reads the examples.
      sharing: Which of them are this worker's.
    """
    reader = dataclasses.replace(reader, budget=network.budget)
    predict = network.compiled_predict
    if sharing.workers.num_replicas > 1 and isinstance(network, Network):
        predict = sharing.workers.on_replicas(network.predict)
    for batch in sharing.read(reader):
        ids = [name_video(video_id) for video_id in batch.pop("id").numpy()]
        labels = batch["labels"].numpy()
        rated = batch.get("label_weights")
        predictions = predict(video_inputs(batch)).numpy()
        yield Prediction(
            ids, predictions, labels, None if rated is None else rated.numpy()
        )


def evaluate_network(
    network: ScoredNetwork,
    reader: VideoReader,
    *,
    label_loss: str = "CrossEntropyLoss",
    top_k: int = 20,
    observe: Callable[[Prediction], None] | None = None,
    sharing: SharedReading = ALONE,
) -> dict[str, Any]:
    """Scores a network on every video or rated segment of a reader.

    Args:
      network: The network.
      reader: Reads the examples, with labels.
      label_loss: Name of the loss to report.
      top_k: Classes a video that enter GAP.
      observe: Is shown every batch, if given.
      sharing: How workers divide them; the result is that of all.

    Returns:
      Dict of the metrics of `VideoMetrics` with `num_videos`, or of those of
      `SegmentMetrics` with `num_segments`; `loss` (mean over the examples, the
      classes not weighted, of segments over what is rated), `top_k`,
      `examples_per_second` (after the first batch; None if there is no other),
      `device`, `frames` (the most the network sees; None where it reads one
      vector a video), `parameters` and `macs`.
    """
    of_segments = reader.schema.segment_labels
    reads_frames = reader.schema.frame_features
    metrics = SegmentMetrics() if of_segments else VideoMetrics(top_k)
    num_examples = 0
    total_loss = 0.0
    throughput = Throughput()
    workers = sharing.workers
    for videos in predict_videos(network, reader, sharing):
        throughput.count(len(videos.ids))
        num_examples += len(videos.ids)
        rated = [videos.label_weights] if of_segments else []
        metrics.update(videos.predictions, videos.labels, *rated)
        total_loss += _sum_losses(label_loss, videos)
        if observe is not None:
            observe(videos)
    rate = throughput.rate()
    sums = workers.sum(np.array([total_loss, num_examples, rate or 0.0]))
    return metrics.result(workers) | {
        "loss": float(sums[0] / sums[1]),
        "num_segments" if of_segments else "num_videos": int(sums[1]),
        "top_k": top_k,
        "examples_per_second": float(sums[2]) or None,
        "device": device_name(),
        "frames": network.num_frames if reads_frames else None,
        "parameters": network.num_parameters,
        "macs": network.macs,
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


def evaluate_checkpoint(
    checkpoint: str | Path,
    role: str,
    reader: VideoReader,
    *,
    top_k: int = 20,
    network: ScoredNetwork | None = None,
    observe: Callable[[Prediction], None] | None = None,
    sharing: SharedReading = ALONE,
) -> dict[str, Any]:
    """Scores a network of a checkpoint, as `evaluate_network` does.

    Args:
      checkpoint: The file, or that of an ensemble.
      role: `teacher` or `student`; of an ensemble `student`, its default.
      reader: Reads the examples, with labels.
      top_k: Classes a video that enter GAP.
      network: The network, if it is loaded already.
      observe: Is shown every batch, if given.
      sharing: How workers divide them.

    Returns:
      Its result, with `checkpoint`, `role` and `step`: of an ensemble
      `ensemble` and None. Its `loss` is that of the first member's training.
    """
    network = network or load_network(checkpoint, role)
    trained, step = checkpoint, None
    if is_ensemble(checkpoint):
        role = "ensemble"
        trained = Ensemble.read(checkpoint).members[0].checkpoint
    else:
        step = read_progress(checkpoint)["step"]
    scores = evaluate_network(
        network,
        reader,
        label_loss=read_settings(trained).training.label_loss,
        top_k=top_k,
        observe=observe,
        sharing=sharing,
    )
    identity = {"checkpoint": str(checkpoint), "role": role}
    return identity | {"step": step} | scores


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


class Throughput:
    """Measures videos a second, the first batch (which traces) left out."""

    def __init__(self):
        self._start: float | None = None
        self._videos = 0

    def count(self, videos: int) -> None:
        """Counts a batch of videos."""
        if self._start is None:
            self._start = time.perf_counter()
        else:
            self._videos += videos

    def rate(self) -> float | None:
        """Returns videos a second; None of one batch or none."""
        if not self._videos:
            return None
        return self._videos / (time.perf_counter() - self._start)

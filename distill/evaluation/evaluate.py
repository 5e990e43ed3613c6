"""Evaluation: predictions of every video, and all metrics of a network."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from distill import losses
from distill.checkpoints.checkpoint import read_progress, read_settings
from distill.data.bad_records import name_video
from distill.data.pipeline import VideoReader
from distill.distributed.workers import Workers
from distill.evaluation.shared_reading import ALONE, Reading, SharedReading
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.segments import SegmentMetrics
from distill.models.frame_budget import ALL_FRAMES
from distill.networks.ensemble_file import Ensemble, is_ensemble
from distill.networks.loading import load_network
from distill.networks.network import Network, video_inputs


class ScoredNetwork(Protocol):
    """The part of a network, cascade or artifact that evaluation uses."""

    @property
    def budget(self) -> Any:
        """The frames to read of a record."""

    @property
    def num_frames(self) -> int:
        """The most frames of a video that it sees."""

    @property
    def frames_needed(self) -> int:
        """The most frames of a video that must be there for those it sees."""

    @property
    def num_parameters(self) -> int:
        """Number of values in its weights."""

    @property
    def macs(self) -> int:
        """MACs of one video of the most frames."""

    @property
    def compiled_predict(self) -> Callable[[Any], tf.Tensor]:
        """From stored videos to `predictions` `[batch, classes]`."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A batch of videos or segments with a network's predictions.

    Attributes:
      ids: `[batch]` strings.
      predictions: `[batch, classes]` float32 in [0, 1].
      labels: `[batch, classes]` booleans.
      label_weights: For segments, `[batch, classes]` booleans: the rated pairs.
    """

    ids: list[str]
    predictions: np.ndarray
    labels: np.ndarray
    label_weights: np.ndarray | None = None


def predict_videos(
    network: ScoredNetwork, reader: VideoReader, sharing: Reading = ALONE
) -> Iterator[Prediction]:
    """Yields predictions of this worker's examples, in a fixed order."""
    reader = dataclasses.replace(reader, budget=network.budget)
    predict = network.compiled_predict
    if sharing.workers.num_replicas > 1 and isinstance(network, Network):
        predict = sharing.workers.on_replicas(network.predict)
    for batch in sharing.read(reader):
        yield from _predict(batch, [predict])


def _predict_together(
    networks: Sequence[Network], reader: VideoReader, sharing: SharedReading
) -> Iterator[list[Prediction]]:
    """Yields every network's predictions of whole videos that are read once.

    Each selects its frames in its graph, as `predict_videos` does in the
    reader.
    """
    draws = [n.budget.num_draws(n.schema.max_frames) for n in networks]
    reader = dataclasses.replace(
        reader, budget=ALL_FRAMES, num_draws=max(draws)
    )
    predict = [network.compiled_predict_whole for network in networks]
    if sharing.workers.num_replicas > 1:
        share = sharing.workers.on_replicas
        predict = [share(network.predict_whole) for network in networks]
    for batch in sharing.read(reader):
        yield _predict(batch, predict)


def _predict(
    batch: dict[str, tf.Tensor], functions: Iterable[Callable]
) -> list[Prediction]:
    """Returns a batch as read with the predictions of each function."""
    ids = [name_video(video_id) for video_id in batch["id"].numpy()]
    labels = batch["labels"].numpy()
    rated = batch.get("label_weights")
    weights = None if rated is None else rated.numpy()
    inputs = video_inputs(batch)
    return [
        Prediction(ids, predict(inputs).numpy(), labels, weights)
        for predict in functions
    ]


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

    `label_loss` names the loss to report; `top_k` classes a video enter GAP;
    `observe` is called with every batch. The result covers all workers that
    share the reading.

    Returns:
      Dict of the metrics of `VideoMetrics` with `num_videos`, or of those of
      `SegmentMetrics` with `num_segments`; `loss` (the mean over the examples,
      without class weights; for segments over the rated pairs), `top_k`,
      `examples_per_second` (without the first batch, which traces; None if
      there is no other), `device`, `frames` (the most the network sees; None
      at video level), `parameters` and `macs`.
    """
    score = _Score(network, reader, label_loss, top_k)
    for videos in predict_videos(network, reader, sharing):
        score.update(videos)
        if observe is not None:
            observe(videos)
    return score.result(sharing.workers)


def evaluate_networks(
    networks: Mapping[str, Network],
    reader: VideoReader,
    *,
    label_loss: str = "CrossEntropyLoss",
    top_k: int = 20,
    sharing: SharedReading = ALONE,
) -> dict[str, dict[str, Any]]:
    """Scores networks by name, in one pass over the videos.

    Arguments and scores are those of `evaluate_network`; the
    `examples_per_second` are those of all networks together.
    """
    if len(networks) == 1:
        # The reader decodes no more than the frames of this network.
        ((name, network),) = networks.items()
        scored = evaluate_network(
            network,
            reader,
            label_loss=label_loss,
            top_k=top_k,
            sharing=sharing,
        )
        return {name: scored}
    scores = {
        name: _Score(network, reader, label_loss, top_k)
        for name, network in networks.items()
    }
    for batch in _predict_together([*networks.values()], reader, sharing):
        for score, videos in zip(scores.values(), batch, strict=True):
            score.update(videos)
    workers = sharing.workers
    return {name: score.result(workers) for name, score in scores.items()}


class _Score:
    """The scores of one network, gathered batch by batch."""

    def __init__(
        self,
        network: ScoredNetwork,
        reader: VideoReader,
        label_loss: str,
        top_k: int,
    ):
        self._network = network
        self._schema = reader.schema
        self._label_loss = label_loss
        self._top_k = top_k
        self._metrics: Any = VideoMetrics(top_k)
        if reader.schema.segment_labels:
            self._metrics = SegmentMetrics()
        self._num_examples = self._num_timed = 0
        self._loss = self._start = 0.0

    def update(self, videos: Prediction) -> None:
        """Adds a batch."""
        if self._num_examples:
            self._num_timed += len(videos.ids)
        else:
            self._start = time.perf_counter()
        self._num_examples += len(videos.ids)
        rated = [videos.label_weights] if self._schema.segment_labels else []
        self._metrics.update(videos.predictions, videos.labels, *rated)
        self._loss += _sum_losses(self._label_loss, videos)

    def result(self, workers: Workers) -> dict[str, Any]:
        """Returns the scores of all workers' examples."""
        rate = 0.0
        if self._num_timed:
            rate = self._num_timed / (time.perf_counter() - self._start)
        sums = workers.sum(np.array([self._loss, self._num_examples, rate]))
        network, schema = self._network, self._schema
        counted = "num_segments" if schema.segment_labels else "num_videos"
        return self._metrics.result(workers) | {
            "loss": float(sums[0] / sums[1]),
            counted: int(sums[1]),
            "top_k": self._top_k,
            "examples_per_second": float(sums[2]) or None,
            "device": device_name(),
            "frames": network.num_frames if schema.frame_features else None,
            "parameters": network.num_parameters,
            "macs": network.macs,
        }


def _sum_losses(label_loss: str, videos: Prediction) -> float:
    weights = videos.label_weights
    if weights is not None:
        weights = weights.astype(np.float32)
    batch_losses = losses.LABEL_LOSSES[label_loss](
        videos.labels.astype(np.float32), videos.predictions, weights
    )
    return float(np.sum(batch_losses, dtype=np.float64))


def evaluate_checkpoint(
    checkpoint: str | Path,
    role: str,
    reader: VideoReader,
    *,
    network: ScoredNetwork | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Scores a network of a checkpoint, as `evaluate_network` does.

    Args:
      checkpoint: The file, or that of an ensemble.
      role: `teacher` or `student`; for an ensemble `student`.
      reader: Reads the examples, with labels.
      network: The network, if it is already loaded.
      **options: Further arguments of `evaluate_network`.

    Returns:
      The scores with `checkpoint`, `role`, `step`, `epoch` (those finished)
      and `describe_frames_needed`. An ensemble has the role `ensemble`, neither
      step nor epoch, and the training loss of its first member.
    """
    network = network or load_network(
        checkpoint, role, segments=reader.schema.segment_labels
    )
    if is_ensemble(checkpoint):
        role = "ensemble"
        progress: dict[str, Any] = {}
        trained = Ensemble.read(checkpoint).members[0].checkpoint
    else:
        trained, progress = str(checkpoint), read_progress(checkpoint)
    scores = evaluate_network(
        network,
        reader,
        label_loss=read_settings(trained).training.label_loss,
        **options,
    )
    identity: dict[str, Any] = {"checkpoint": str(checkpoint), "role": role}
    identity |= {name: progress.get(name) for name in ("step", "epoch")}
    return identity | scores | describe_frames_needed(network)


def describe_frames_needed(network: ScoredNetwork) -> dict[str, int]:
    """Returns `frames_needed` of a network of means; of others nothing.

    Others need no frames but the `frames` that they see.
    """
    needed = network.frames_needed
    return {} if needed == network.num_frames else {"frames_needed": needed}


def device_name() -> str:
    """Returns `CPU`, or `GPU: ` and the name of the first visible one."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return "CPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    return f"GPU: {details.get('device_name', gpus[0].name)}"

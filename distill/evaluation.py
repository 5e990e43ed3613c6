"""Evaluation: all metrics of one network of a checkpoint."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from distill.atomic_files import replace_atomically
from distill.data.pipeline import VideoReader
from distill.data.video_names import name_video
from distill.deployment.artifact_network import ArtifactNetwork
from distill.ensembles.file import Ensemble, is_ensemble
from distill.ensembles.network import EnsembleNetwork, check_members
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.segments import SegmentMetrics
from distill.networks import Network, build_network, video_inputs
from distill.shared_reading import ALONE, SharedReading
from distill.stored_networks import read_fitting_settings
from distill.throughput import Throughput
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
) -> Network | EnsembleNetwork:
    """Builds the `teacher` or `student` of a checkpoint with its weights.

    Args:
      checkpoint: The file, or that of an ensemble (`.json`), whose members
        say which network each is.
      which: The network; of an ensemble `student`, its default.
      precision: `float32` or `bfloat16`: what it computes in.
      budget: The frames it sees; None: those it was trained on.

    Raises:
      CheckpointError: The file is no checkpoint, or its weights are not those
        of its settings.
      ValueError: It holds no such network, or no ensemble.
    """
    if is_ensemble(checkpoint):
        network = _load_ensemble(checkpoint, which, precision)
    else:
        settings = read_fitting_settings(checkpoint, which)
        network = build_network(
            settings.network(which), settings.data, which, precision
        )
        load_result(checkpoint, which, weight_names(network.model))
    return network if budget is None else network.at_budget(budget)


def _load_ensemble(path, which, precision) -> EnsembleNetwork:
    if which != "student":
        raise ValueError(
            f"--which={which}: the members of {path} say which network of a "
            "checkpoint each is."
        )
    members = Ensemble.read(path).members
    schema = check_members(members)
    networks = []
    for member in members:
        network = load_network(member.checkpoint, member.which, precision)
        if network.budget.num_draws(schema.max_frames):
            raise ValueError(
                f"{path}: {member.name} sees {network.budget.name}, which are "
                "drawn: such a network cannot be a member."
            )
        networks.append(network)
    weights = [member.weight for member in members]
    return EnsembleNetwork(networks, weights, schema)


def predict_videos(
    network: Network, reader: VideoReader, sharing: SharedReading = ALONE
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
    network: Network | EnsembleNetwork | ArtifactNetwork,
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
      vector a video), `parameters` and `multiply_adds`.
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


def evaluate_checkpoint(
    checkpoint: str | Path,
    which: str,
    reader: VideoReader,
    *,
    top_k: int = 20,
    network: Network | EnsembleNetwork | None = None,
    observe: Callable[[Prediction], None] | None = None,
    sharing: SharedReading = ALONE,
) -> dict[str, Any]:
    """Scores a network of a checkpoint, as `evaluate_network` does.

    Args:
      checkpoint: The file, or that of an ensemble.
      which: `teacher` or `student`; of an ensemble `student`, its default.
      reader: Reads the examples, with labels.
      top_k: Classes a video that enter GAP.
      network: The network, if it is loaded already.
      observe: Is shown every batch, if given.
      sharing: How workers divide them.

    Returns:
      Its result, with `checkpoint`, `which` and `step`: of an ensemble
      `ensemble` and None. Its `loss` is that of the first member's training.
    """
    network = network or load_network(checkpoint, which)
    trained, step = checkpoint, None
    if is_ensemble(checkpoint):
        which = "ensemble"
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
    identity = {"checkpoint": str(checkpoint), "which": which}
    return identity | {"step": step} | scores


def evaluate_artifact(
    artifact: str | Path,
    reader: VideoReader,
    *,
    top_k: int = 20,
    network: ArtifactNetwork | None = None,
    sharing: SharedReading = ALONE,
) -> dict[str, Any]:
    """Scores an artifact of `scripts.export`, as `evaluate_network` does.

    Args:
      artifact: Its path.
      reader: Reads the examples, with labels.
      top_k: Classes a video that enter GAP.
      network: The network, if it is loaded already.
      sharing: How workers divide them.

    Returns:
      Its result, with `checkpoint`, the artifact, and `which` and `step` of
      what it was made of.
    """
    network = network or ArtifactNetwork(artifact)
    scores = evaluate_network(
        network,
        reader,
        label_loss=network.label_loss,
        top_k=top_k,
        sharing=sharing,
    )
    return {"checkpoint": str(artifact)} | network.source | scores


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

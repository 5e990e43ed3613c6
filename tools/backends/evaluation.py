"""A trained network, evaluated with the predictions of any Keras backend.

TensorFlow reads the videos in this process, and the metrics are those of
`distill evaluate`. The network's predictions come from the backend's process.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.deployment.scoring import score_with_bar
from distill.models.frame_budget import ALL_FRAMES
from distill.models.raw_video_model import RawVideoModel
from distill.networks.network import (
    Network,
    Videos,
    input_shapes,
    video_inputs,
)
from distill.system.atomic_files import replace_atomically
from tools.backends.process import BackendProcess
from tools.backends.scoring import MODEL_NAME, batch_files


@dataclasses.dataclass(frozen=True)
class BackendNetwork:
    """A network whose predictions a backend's process computes.

    It replaces a `Network` or an `EnsembleNetwork` in evaluation.

    Attributes:
      budget: The frames that the reader decodes.
      num_frames: As in `Network`, like the next three.
      frames_needed: See above.
      num_parameters: See above.
      macs: See above.
      compiled_predict: From stored videos, read with the budget, to
        `predictions` `[batch, classes]`.
    """

    budget: Any
    num_frames: int
    frames_needed: int
    num_parameters: int
    macs: int
    compiled_predict: Callable[[Videos], tf.Tensor]

    @classmethod
    def of(cls, network: Any, process: BackendProcess) -> "BackendNetwork":
        """Returns a network whose model the process has loaded."""

        def predict(inputs: Videos) -> tf.Tensor:
            return tf.constant(process.call("predict", to_arrays(inputs)))

        names = [field.name for field in dataclasses.fields(cls)]
        shared = {name: getattr(network, name) for name in names[:-1]}
        return cls(**shared, compiled_predict=predict)


def to_arrays(inputs: Videos) -> dict[str, np.ndarray]:
    """Returns a batch's tensors as NumPy arrays."""
    return {name: tensor.numpy() for name, tensor in inputs.items()}


def write_model(folder: str | Path, network: Any) -> str:
    """Writes a network's model for `ModelRunner.load`; returns the file."""
    path = str(Path(folder) / MODEL_NAME)
    _evaluated_model(network).save(path)
    return path


def write_arrays(folder: Path, network: Any, reader: VideoReader) -> int:
    """Writes a network's model and its videos, for `score_arrays`.

    Returns:
      The number of videos.

    Raises:
      ValueError: The folder holds batches already.
    """
    if batch_files(folder):
        raise ValueError(f"arrays_dir: {folder} holds batches already.")
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder, network)
    num_videos = 0
    reader = dataclasses.replace(reader, budget=network.budget)
    for index, batch in enumerate(reader.read_once()):
        labels = batch["labels"].numpy()
        arrays: dict[str, Any] = to_arrays(video_inputs(batch))
        path = folder / f"batch-{index:06d}.npz"
        with (
            replace_atomically(path) as temporary,
            temporary.open("wb") as file,
        ):
            np.savez(file, labels=labels, **arrays)
        num_videos += len(labels)
    return num_videos


def _evaluated_model(network: Any) -> keras.Model:
    """Returns the model of stored videos that were read with the budget."""
    if not isinstance(network, Network):
        return network.raw_model()
    schema, most = network.schema, network.max_frames
    value_range = schema.quantisation_range
    raw = RawVideoModel(network.model, ALL_FRAMES, most, most, value_range)
    raw.build(input_shapes(schema, most, schema.num_features))
    return raw


def evaluate_on_backends(
    checkpoint: str,
    role: str,
    network: Any,
    reader: VideoReader,
    backends: Sequence[str],
    gpu: int | None = None,
    top_k: int = 20,
) -> list[dict[str, Any]]:
    """Scores a network of a checkpoint on every backend, one after the other.

    Args:
      checkpoint: A checkpoint, or the file of an ensemble.
      role: `teacher` or `student`.
      network: The network, loaded from it.
      reader: Reads the videos, with labels.
      backends: Installed backends.
      gpu: Index of the GPU; -1 for the CPU; None for the backend's choice.
      top_k: Classes a video that enter GAP.

    Returns:
      For each backend the scores of `evaluate_checkpoint`, with `backend` and
      its `device`.

    Raises:
      ChildProcessError: A backend failed; the message holds its output.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(folder, network)
        for backend in backends:
            with BackendProcess(backend, gpu) as process:
                process.call("load", path)
                scores = score_with_bar(
                    checkpoint,
                    role,
                    reader,
                    backend,
                    network=BackendNetwork.of(network, process),
                    top_k=top_k,
                )
                device = process.call("device")
            found.append(scores | {"backend": backend, "device": device})
    return found

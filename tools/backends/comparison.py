"""Compares the predictions and times of models on Keras's backends.

Every backend runs in a process of its own, and gets the same weights and
videos.
"""

import dataclasses
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES
from distill.models.raw_video_model import RawVideoModel
from distill.networks.network import input_shapes
from distill.settings.training import TrainingSettings
from tools.backends.process import BackendProcess
from tools.backends.settings import ComparisonSettings

REFERENCE = "tensorflow"


@dataclasses.dataclass(frozen=True)
class BackendResult:
    """Difference and times of one model on one backend.

    Attributes:
      model: The model's name.
      backend: `tensorflow`, `torch` or `jax`.
      device: The device that computed, `CPU` or `GPU`.
      difference: The largest difference of a prediction from TensorFlow's.
      forward: Median seconds from raw videos to predictions; None without
        times.
      gradient_step: Median seconds of a training step: a forward pass, the
        gradient of the binary cross-entropy and a step of Adam; None without
        times.
    """

    model: str
    backend: str
    device: str
    difference: float
    forward: float | None = None
    gradient_step: float | None = None


def compare_backends(
    settings: ComparisonSettings,
    backends: Iterable[str],
    gpu: int | None = None,
) -> list[BackendResult]:
    """Runs the models on every backend, one backend after the other.

    Args:
      settings: Settings of the comparison.
      backends: Installed backends; TensorFlow runs in any case.
      gpu: Index of the GPU; -1 for the CPU; None for the backend's choice.

    Returns:
      A result for every model and backend, model by model.

    Raises:
      ChildProcessError: A backend failed; the message holds its output.
    """
    backends = (REFERENCE, *(b for b in backends if b != REFERENCE))
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder), settings)
        results = {}
        for backend in backends:
            with BackendProcess(backend, gpu) as process:
                results[backend] = run_models(process, Path(folder), settings)
    return [
        _compare(model, backend, results)
        for model in settings.models
        for backend in backends
    ]


def write_models(folder: Path, settings: ComparisonSettings) -> None:
    """Writes a file for each model, with random weights."""
    rng = np.random.default_rng(0)
    schema, frames = settings.schema, settings.schema.max_frames
    for name in settings.models:
        model = registry.build_model(
            name,
            arguments=settings.arguments(name),
            num_classes=schema.num_classes,
            feature_sizes=schema.feature_sizes,
            max_frames=frames,
            model_name="model",
        )
        raw = RawVideoModel(model, ALL_FRAMES, frames, frames)
        is_frame_level = registry.get_entry(name).level == "frame"
        layout = dataclasses.replace(schema, frame_features=is_frame_level)
        raw.build(input_shapes(layout, frames, schema.num_features))
        for weight in model.weights:
            # Random offsets: many initial weights are all zeros or ones.
            offsets = rng.uniform(0, 0.1, weight.shape).astype(np.float32)
            weight.assign(np.asarray(weight) + offsets)
        raw.save(_model_path(folder, name))


def _model_path(folder: Path, name: str) -> str:
    return str(folder / f"{name}.keras")


def make_batch(settings: ComparisonSettings) -> dict[str, Any]:
    """Returns a batch of random videos of both levels, with labels."""
    rng, schema = np.random.default_rng(1), settings.schema
    batch_size = settings.batch_size
    shape = (batch_size, schema.max_frames, schema.num_features)
    labels = rng.random((batch_size, schema.num_classes)) < 0.2
    return {
        "frames": rng.integers(0, 256, shape, dtype=np.uint8),
        "num_frames": rng.integers(
            1, schema.max_frames + 1, batch_size, dtype=np.int32
        ),
        "features": rng.normal(size=shape[::2]).astype(np.float32),
        "labels": labels.astype(np.float32),
    }


def run_models(
    process: BackendProcess, folder: Path, settings: ComparisonSettings
) -> dict[str, dict[str, Any]]:
    """Runs the models that `write_models` wrote.

    Returns:
      For each model `predictions` `[batch, classes]`, `device` and, if the
      settings' `repeats` is not 0, `forward` and `gradient_step`, seconds.
    """
    batch, found = make_batch(settings), {}
    keys = {"frame": ("frames", "num_frames"), "video": ("features",)}
    for name in settings.models:
        level = registry.get_entry(name).level
        inputs = {key: batch[key] for key in keys[level]}
        process.call("load", _model_path(folder, name))
        found[name] = {
            "predictions": process.call("predict", inputs),
            "device": process.call("device"),
        }
        if settings.repeats:
            process.call("prepare_training", TrainingSettings("none"))
            labels, repeats = batch["labels"], settings.repeats
            found[name] |= process.call("time", inputs, labels, repeats)
    return found


def _compare(
    model: str,
    backend: str,
    results: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> BackendResult:
    found = dict(results[backend][model])
    difference = found.pop("predictions")
    difference = difference - results[REFERENCE][model]["predictions"]
    return BackendResult(
        model, backend, difference=float(np.abs(difference).max()), **found
    )

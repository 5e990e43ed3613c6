"""Compares the predictions and times of models on Keras's backends.

Keras fixes its backend at import, so every backend runs in a process of its
own, `tools.backends.program`. All get the same weights and videos.
"""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.settings.schema import DataSchema
from tools.backends import program as backend_program
from tools.backends.settings import ComparisonSettings

# The module that each backend needs, in the order of the report.
MODULES = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}
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
      gradient_step: Median seconds of a forward pass, the gradient of the
        binary cross-entropy and an SGD step; None without times.
    """

    model: str
    backend: str
    device: str
    difference: float
    forward: float | None = None
    gradient_step: float | None = None


def installed_backends() -> tuple[str, ...]:
    """Returns the backends whose framework is installed."""
    return tuple(
        backend
        for backend, module in MODULES.items()
        if importlib.util.find_spec(module) is not None
    )


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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_job(folder, settings)
        for backend in backends:
            run_backend(folder, backend, gpu)
        results = {backend: _read(folder, backend) for backend in backends}
    return [
        _compare(model, backend, results)
        for model in settings.models
        for backend in backends
    ]


def write_job(folder: Path, settings: ComparisonSettings) -> None:
    """Writes the batch, the models' sizes and weights for all backends."""
    schema = settings.schema
    job = {
        "arguments": {n: settings.arguments(n) for n in settings.models},
        "num_classes": schema.num_classes,
        "feature_sizes": schema.feature_sizes,
        "max_frames": schema.max_frames,
        "repeats": settings.repeats,
    }
    (folder / backend_program.JOB_NAME).write_text(json.dumps(job))
    rng = np.random.default_rng(0)
    batch = _make_batch(rng, settings.batch_size, schema)
    np.savez(folder / backend_program.BATCH_NAME, **batch)
    for name in settings.models:
        model = backend_program.build_model(name, job)
        # Random offsets: many initial weights are all zeros or ones.
        weights: dict[str, Any] = {
            weight.path: np.asarray(weight)
            + rng.uniform(0, 0.1, weight.shape).astype(np.float32)
            for weight in model.weights
        }
        np.savez(backend_program.weights_path(folder, name), **weights)


def _make_batch(
    rng: np.random.Generator, batch_size: int, schema: DataSchema
) -> dict[str, Any]:
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


def run_backend(folder: Path, backend: str, gpu: int | None = None) -> None:
    """Runs a job on a backend in a process of its own.

    Raises:
      ChildProcessError: The process failed.
    """
    # Waiting threads that spin slow PyTorch down many times over while other
    # programs compute.
    environment = (
        {"OMP_WAIT_POLICY": "PASSIVE"}
        | os.environ
        | {
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
    )
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = str(gpu)
    if gpu == -1:
        environment["JAX_PLATFORMS"] = "cpu"
    done = subprocess.run(
        [sys.executable, "-m", backend_program.__name__, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ChildProcessError(f"{backend} failed:\n{done.stderr[-4000:]}")


def _read(folder: Path, backend: str) -> dict[str, np.ndarray]:
    with np.load(backend_program.results_path(folder, backend)) as stored:
        return dict(stored)


def _compare(
    model: str, backend: str, results: Mapping[str, Mapping[str, np.ndarray]]
) -> BackendResult:
    found, key = results[backend], f"{model}/predictions"
    times = {
        name: float(found[f"{model}/{name}"])
        for name in ("forward", "gradient_step")
        if f"{model}/{name}" in found
    }
    return BackendResult(
        model,
        backend,
        str(found["device"]),
        float(np.abs(found[key] - results[REFERENCE][key]).max()),
        **times,
    )

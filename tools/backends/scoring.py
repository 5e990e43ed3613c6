"""Metrics of a model on videos of `.npz` files; needs no TensorFlow."""

import time
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from distill.metrics.accumulator import VideoMetrics
from distill.reporting.machine import accelerator_name
from tools.backends.program import ModelRunner

MODEL_NAME = "model.keras"


def batch_files(folder: Path) -> list[Path]:
    """Returns the files of batches, in order."""
    return sorted(folder.glob("batch-*.npz"))


def score_arrays(folder: Path, top_k: int = 20) -> dict[str, Any]:
    """Scores the model of a folder on the folder's videos.

    Args:
      folder: Written by `tools.backends.evaluation.write_arrays`.
      top_k: Classes a video that enter GAP.

    Returns:
      The metrics of `VideoMetrics`, with `checkpoint` (the model's file),
      `num_videos`, `top_k`, `backend`, `device` and `examples_per_second`
      (without the first batch, which compiles; None if there is no other).

    Raises:
      ValueError: The folder holds no model or no videos, or a file is bad.
    """
    path, files = folder / MODEL_NAME, batch_files(folder)
    if not path.is_file() or not files:
        raise ValueError(
            f"{folder} must hold {MODEL_NAME} and batch-*.npz, as `python -m "
            "tools.backends evaluate --arrays_dir` writes them."
        )
    runner = ModelRunner()
    runner.load(str(path))
    metrics, seconds, timed = VideoMetrics(top_k), 0.0, 0
    for index, file in enumerate(files):
        inputs = _read_batch(file)
        labels = inputs.pop("labels")
        start = time.perf_counter()
        predictions = runner.predict(inputs)
        if index > 0:
            seconds += time.perf_counter() - start
            timed += len(labels)
        metrics.update(predictions, labels)
    return metrics.result() | {
        "checkpoint": str(path),
        "num_videos": metrics.num_videos,
        "top_k": top_k,
        "backend": keras.backend.backend(),
        "device": accelerator_name() or runner.device(),
        "examples_per_second": timed / seconds if timed else None,
    }


def _read_batch(path: Path) -> dict[str, np.ndarray]:
    try:
        # Of a broken file NumPy would leave its own handle open.
        with path.open("rb") as file, np.load(file) as arrays:
            batch = dict(arrays)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no file of arrays: {error}") from error
    if "labels" not in batch:
        raise ValueError(f"{path} has no labels.")
    return batch

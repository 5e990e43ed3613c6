"""Runs models on the current Keras backend, from files to files.

`tools.backends.comparison` starts `python -m tools.backends.program FOLDER`
for each backend, with `KERAS_BACKEND` set. It imports nothing that needs
TensorFlow.
"""

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from distill.models import registry
from distill.models.preprocessing import preprocess
from distill.reporting.timing import time_interleaved

JOB_NAME = "job.json"
BATCH_NAME = "batch.npz"


class Predictor(keras.Model):
    """Maps raw videos to predictions.

    Args:
      model: A built model of the registry.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        self.model = model

    def call(self, inputs, training=False):
        """Returns the predictions `[batch, classes]` of raw videos."""
        return self.model(preprocess(inputs), training=training)["predictions"]


def weights_path(folder: Path, name: str) -> Path:
    """Returns the file of a model's weights."""
    return folder / f"weights-{name}.npz"


def results_path(folder: Path, backend: str) -> Path:
    """Returns the file of a backend's predictions and times."""
    return folder / f"results-{backend}.npz"


def build_model(name: str, job: dict[str, Any]) -> keras.Model:
    """Builds a model of a job with fresh weights.

    Args:
      name: The model.
      job: `arguments` by model, `num_classes`, `feature_sizes` and
        `max_frames`.
    """
    model = registry.build_model(
        name,
        arguments=job["arguments"][name],
        num_classes=job["num_classes"],
        feature_sizes=tuple(job["feature_sizes"]),
        max_frames=job["max_frames"],
        model_name="model",
    )
    num_features = sum(job["feature_sizes"])
    shapes = {
        "frames": (None, job["max_frames"], num_features),
        "num_frames": (None,),
        "features": (None, num_features),
    }
    model.build(model_inputs(name, shapes))
    return model


def model_inputs(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Returns the entries that the model `name` reads."""
    keys = {"frame": ("frames", "num_frames"), "video": ("features",)}
    return {key: inputs[key] for key in keys[registry.get_entry(name).level]}


def run_models(folder: Path) -> None:
    """Runs the models of a job and writes `results-BACKEND.npz`.

    The results are `device` and, for each model, `MODEL/predictions`
    `[batch, classes]`. If the job's `repeats` is not 0, `MODEL/forward` and
    `MODEL/gradient_step` are the median seconds of that many calls.

    Args:
      folder: Holds `job.json` (`arguments` by model, `num_classes`,
        `feature_sizes`, `max_frames`, `repeats`), `batch.npz` (`frames`,
        `num_frames`, `features`, `labels`) and a file for each model with its
        weights by path.
    """
    job = json.loads((folder / JOB_NAME).read_text())
    with np.load(folder / BATCH_NAME) as stored:
        batch = dict(stored)
    results: dict[str, Any] = {}
    for name in job["arguments"]:
        model = build_model(name, job)
        with np.load(weights_path(folder, name)) as weights:
            model.set_weights([weights[w.path] for w in model.weights])
        found = _run_model(
            Predictor(model), model_inputs(name, batch), batch, job["repeats"]
        )
        results |= {f"{name}/{key}": value for key, value in found.items()}
        results["device"] = np.array(_device(model))
        keras.backend.clear_session()
    np.savez(results_path(folder, keras.backend.backend()), **results)


def _device(model: keras.Model) -> str:
    """Returns the device of a model's weights: `GPU` or `CPU`."""
    name = str(model.weights[0].value.device).lower()
    return "GPU" if "gpu" in name or "cuda" in name else "CPU"


def _run_model(
    predictor: Predictor,
    inputs: dict[str, np.ndarray],
    batch: dict[str, np.ndarray],
    repeats: int,
) -> dict[str, Any]:
    """Returns `predictions` and, if `repeats` is not 0, the times."""
    predictor.compile(
        optimizer=keras.optimizers.SGD(1e-3),
        loss="binary_crossentropy",
        jit_compile=keras.backend.backend() == "jax",
    )
    found: dict[str, Any] = {
        "predictions": np.asarray(predictor.predict_on_batch(inputs))
    }
    if repeats:
        labels = batch["labels"]
        found |= time_interleaved(
            {
                "forward": lambda: predictor.predict_on_batch(inputs),
                "gradient_step": lambda: predictor.train_on_batch(
                    inputs, labels
                ),
            },
            repeats,
        )
    return found


if __name__ == "__main__":
    run_models(Path(sys.argv[1]))

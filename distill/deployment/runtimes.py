"""The runtimes of deployed networks, each behind the same call.

A runtime is called with a batch as `VideoInterface.to_batch` makes it and
returns float32 `[batch, classes]` probabilities. All may be called from several
threads at once. Only what a file needs is imported.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Inputs = dict[str, np.ndarray]


class Runtime(Protocol):
    """From a batch of videos to probabilities."""

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """Returns float32 `[batch, classes]`."""


class SavedModelRuntime:
    """The `serving_default` signature of a SavedModel."""

    def __init__(self, path: Path):
        import tensorflow as tf

        # The signature does not keep the weights alive.
        self._model = tf.saved_model.load(str(path))
        self._run = self._model.signatures["serving_default"]
        self._tensor = tf.constant

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """Returns float32 `[batch, classes]`."""
        tensors = {key: self._tensor(inputs[key]) for key in inputs}
        return self._run(**tensors)["predictions"].numpy()


def _load_keras(path: Path) -> Runtime:
    """Loads a `.keras` file."""
    import keras

    import distill.models.saved_classes  # noqa: F401
    from distill.deployment.model_runtime import ModelRuntime

    # What was compiled with it is not needed; code in it is refused.
    return ModelRuntime(
        keras.models.load_model(path, compile=False, safe_mode=True)
    )


class OnnxRuntime:
    """An ONNX file in ONNX Runtime, on the CPU."""

    def __init__(self, path: Path):
        onnxruntime = import_extra("onnxruntime", "onnx")
        self._session = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """Returns float32 `[batch, classes]`."""
        return self._session.run(["predictions"], inputs)[0]


class LiteRtRuntime:
    """A `.tflite` file in LiteRT."""

    def __init__(self, path: Path):
        interpreter = import_extra("ai_edge_litert.interpreter", "litert")
        model = interpreter.Interpreter(str(path))
        self._run = model.get_signature_runner("serving_default")
        self._lock = threading.Lock()

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """Returns float32 `[batch, classes]`."""
        with self._lock:  # one interpreter runs one batch at a time
            return self._run(**inputs)["predictions"].copy()


def import_extra(module: str, extra: str) -> Any:
    """Imports what an extra of the project brings.

    Raises:
      ValueError: It is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{module.split('.')[0]} is not installed: `pip install -e "
            f".[{extra}]` brings it."
        ) from error


_BY_SUFFIX: dict[str, Callable[[Path], Runtime]] = {
    ".keras": _load_keras,
    ".onnx": OnnxRuntime,
    ".tflite": LiteRtRuntime,
}


def is_artifact(path: str | Path) -> bool:
    """Returns whether a path is that of an artifact, by its form."""
    return Path(path).suffix in _BY_SUFFIX or Path(path).is_dir()


def load_runtime(path: str | Path) -> Runtime:
    """Loads an artifact into its runtime.

    Args:
      path: A `.onnx`, `.tflite` or `.keras` file, or a SavedModel's directory.

    Raises:
      ValueError: It is none of these, cannot be read, or its runtime is not
        installed.
    """
    path = Path(path)
    if (path / "saved_model.pb").is_file():
        return SavedModelRuntime(path)
    if not path.exists():
        raise ValueError(f"There is no artifact {path}.")
    if path.suffix not in _BY_SUFFIX or not path.is_file():
        raise ValueError(
            f"{path} is no artifact: a SavedModel's directory, or a file that "
            f"ends in {', '.join(_BY_SUFFIX)}."
        )
    try:
        return _BY_SUFFIX[path.suffix](path)
    except Exception as error:
        # Every runtime has error classes of its own for a damaged file.
        first_line = str(error).strip().split("\n")[0]
        raise ValueError(f"{path} cannot be loaded: {first_line}") from error

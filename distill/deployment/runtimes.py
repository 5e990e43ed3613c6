"""The runtimes of deployed networks, each behind the same call.

A runtime takes a batch from `VideoInterface.to_batch` and returns float32
`[batch, classes]` probabilities. Several threads may call it at once. Each
runtime imports its own libraries alone.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from distill.deployment.interface import CARD, artifact_rows, read_card
from distill.deployment.unpacking import is_archive
from distill.system.captured_stderr import standard_error_kept_back
from distill.system.extras import import_extra
from distill.system.storage import local_copy, to_path

Inputs = dict[str, np.ndarray]
Runtime = Callable[[Inputs], np.ndarray]


class ModelRuntime:
    """A Keras model from raw videos, as one graph of TensorFlow."""

    def __init__(self, model: Any):
        import tensorflow as tf

        from distill.distributed.tracing import BatchPolymorphicFunction

        self.model = model
        self._run: Any = BatchPolymorphicFunction(model)
        self._tensor = tf.constant
        self._lock = threading.Lock()

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """Returns float32 `[batch, classes]`."""
        tensors = {key: self._tensor(inputs[key]) for key in inputs}
        with self._lock:  # the first call traces
            predictions = self._run(tensors)
        return predictions.numpy()


def _says_more_than_of_gradients(record: logging.LogRecord) -> bool:
    """Returns whether a message is not that a file holds no gradients."""
    return "unsaved custom gradients" not in str(record.msg)


class _SavedModelRuntime:
    def __init__(self, path: Path):
        import tensorflow as tf

        log = logging.getLogger("absl")
        log.addFilter(_says_more_than_of_gradients)
        try:
            # The signature does not keep the weights alive.
            self._model = tf.saved_model.load(str(path))
        finally:
            log.removeFilter(_says_more_than_of_gradients)
        self._run = self._model.signatures["serving_default"]
        self._tensor = tf.constant

    def __call__(self, inputs: Inputs) -> np.ndarray:
        tensors = {key: self._tensor(inputs[key]) for key in inputs}
        return self._run(**tensors)["predictions"].numpy()


def _load_keras(path: Path) -> Runtime:
    import keras

    import distill.models.saved_classes  # noqa: F401

    # The safe mode refuses files with code in them.
    return ModelRuntime(
        keras.models.load_model(path, compile=False, safe_mode=True)
    )


class _OnnxRuntime:
    def __init__(self, path: Path):
        onnxruntime = import_extra("onnxruntime", "onnx")
        self._session = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )

    def __call__(self, inputs: Inputs) -> np.ndarray:
        return self._session.run(["predictions"], inputs)[0]


class _LiteRtRuntime:
    def __init__(self, path: Path):
        interpreter = import_extra("ai_edge_litert.interpreter", "litert")
        # LiteRT tells standard error that it makes its CPU kernels.
        with standard_error_kept_back():
            model = interpreter.Interpreter(str(path))
            model.allocate_tensors()
        self._run = model.get_signature_runner("serving_default")
        self._lock = threading.Lock()

    def __call__(self, inputs: Inputs) -> np.ndarray:
        with self._lock:  # one interpreter runs one batch at a time
            return self._run(**inputs)["predictions"].copy()


_BY_SUFFIX: dict[str, Callable[[Path], Runtime]] = {
    ".keras": _load_keras,
    ".onnx": _OnnxRuntime,
    ".tflite": _LiteRtRuntime,
}


def is_artifact(path: str | Path) -> bool:
    """Returns whether a path looks like an artifact's, or its archive's."""
    path = to_path(path)
    return path.suffix in _BY_SUFFIX or is_archive(path) or path.is_dir()


def find_network(path: str | Path) -> Path:
    """Returns the file of a network that a path names.

    Args:
      path: A checkpoint, an ensemble, an artifact or its archive, which is
        returned as it is; the directory of an export, whose first artifact is
        taken; or that of a run, whose `best.h5` or else newest checkpoint is.

    Raises:
      ValueError: The directory holds no network.
    """
    path = to_path(path)
    if not path.is_dir() or (path / "saved_model.pb").is_file():
        return path
    if (path / CARD).is_file():
        return path / next(iter(artifact_rows(path, read_card(path, []))))
    # This imports Keras, which artifacts may not need.
    from distill.checkpoints.checkpoint import find_checkpoint

    return find_checkpoint(path)


def load_runtime(path: str | Path) -> Runtime:
    """Loads an artifact into its runtime.

    Args:
      path: A `.onnx`, `.tflite` or `.keras` file, or a SavedModel's directory.

    Raises:
      ValueError: The path is not an export artifact, the file is damaged, or
        its runtime is not installed.
    """
    path = to_path(path)
    if not path.exists():
        raise ValueError(f"There is no artifact {path}.")
    with local_copy(path) as local:
        return _load(path, local)


def _load(path: Path, local: Path) -> Runtime:
    """Loads an artifact from its local copy."""
    if (local / "saved_model.pb").is_file():
        return _SavedModelRuntime(local)
    if path.suffix not in _BY_SUFFIX or not local.is_file():
        raise ValueError(
            f"{path} is not an export artifact: a SavedModel's directory or a "
            f"file that ends in {', '.join(_BY_SUFFIX)}."
        )
    try:
        return _BY_SUFFIX[path.suffix](local)
    except Exception as error:
        # Each runtime has its own error classes for a damaged file.
        first_line = str(error).strip().split("\n")[0]
        raise ValueError(f"{path} cannot be loaded: {first_line}") from error

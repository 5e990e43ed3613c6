"""The runtimes of deployed networks, each behind the same call.

A runtime takes a batch from `VideoInterface.to_batch` and returns float32
`[batch, classes]` probabilities. Several threads may call it at once. Each
runtime imports its own libraries alone.
"""

import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.deployment.artifact_checks.check import check_artifact
from distill.deployment.interface import CARD, artifact_rows, read_card
from distill.deployment.unpacking import is_archive
from distill.system.captured_stderr import standard_error_kept_back
from distill.system.error_lines import first_line
from distill.system.extras import import_extra
from distill.system.storage import local_copy, to_path

Inputs = dict[str, np.ndarray]
Runtime = Callable[[Inputs], np.ndarray]

_SIGNATURE = "serving_default"
# ONNX Runtime tells standard error of every error that it raises.
_FATAL = 4


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
        signatures = getattr(self._model, "signatures", {})
        if _SIGNATURE not in signatures:
            held = ", ".join(sorted(signatures)) or "none"
            raise ValueError(f"no signature {_SIGNATURE}; it has {held}")
        self._run = signatures[_SIGNATURE]
        self._tensor = tf.constant

    def __call__(self, inputs: Inputs) -> np.ndarray:
        tensors = {key: self._tensor(inputs[key]) for key in inputs}
        return _predictions(self._run(**tensors)).numpy()


def _predictions(outputs: Mapping[str, Any]) -> Any:
    """Returns the output of a signature that is read."""
    if "predictions" not in outputs:
        raise ValueError(f"no output 'predictions'; it has {sorted(outputs)}")
    return outputs["predictions"]


def _load_keras(path: Path) -> Runtime:
    import keras

    import distill.models.saved_classes  # noqa: F401

    # The safe mode refuses files with code in them.
    return ModelRuntime(
        keras.models.load_model(path, compile=False, safe_mode=True)
    )


@functools.cache
def _limit_onnx_memory() -> None:
    """Lets all sessions take half of the memory: a graph may ask for any."""
    import onnxruntime

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = {"max_mem": memory // 2}
    onnxruntime.create_and_register_allocator(
        onnxruntime.OrtMemoryInfo(
            "Cpu",
            onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
            0,
            onnxruntime.OrtMemType.DEFAULT,
        ),
        onnxruntime.OrtArenaCfg(limits),
    )


class _OnnxRuntime:
    def __init__(self, path: Path):
        onnxruntime = import_extra("onnxruntime", "onnx")
        _limit_onnx_memory()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.log_severity_level = _FATAL
        # At an error the fallback prints, and tries the same again.
        self._session = onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,
        )

    def __call__(self, inputs: Inputs) -> np.ndarray:
        return self._session.run(["predictions"], inputs)[0]


class _LiteRtRuntime:
    def __init__(self, path: Path):
        interpreter = import_extra("ai_edge_litert.interpreter", "litert")
        # LiteRT tells standard error that it makes its CPU kernels.
        with standard_error_kept_back():
            model = interpreter.Interpreter(
                # Without a number it is one thread.
                str(path),
                num_threads=len(os.sched_getaffinity(0)),
            )
            model.allocate_tensors()
        self._run = model.get_signature_runner(_SIGNATURE)
        self._lock = threading.Lock()

    def __call__(self, inputs: Inputs) -> np.ndarray:
        with self._lock:  # one interpreter runs one batch at a time
            return _predictions(self._run(**inputs)).copy()


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


def load_runtime(path: str | Path, trust_artifact: bool = False) -> Runtime:
    """Loads an artifact into its runtime, once it is checked.

    Args:
      path: A `.onnx`, `.tflite` or `.keras` file, or a SavedModel's directory.
      trust_artifact: Whether it is loaded without the check.

    Raises:
      ValueError: The path is not an export artifact, the check refuses it, it
        is damaged, or its runtime is not installed.
    """
    path = to_path(path)
    with _checked_copy(path, trust_artifact) as local:
        load = _SavedModelRuntime if local.is_dir() else _BY_SUFFIX[path.suffix]
        try:
            return load(local)
        except Exception as error:
            # Each runtime has its own error classes for a damaged file.
            raise ValueError(
                f"{path} cannot be loaded: {first_line(error)}."
            ) from error


def require_checked(path: str | Path, trust_artifact: bool = False) -> None:
    """Checks an artifact as `load_runtime` does, and does not load it."""
    with _checked_copy(to_path(path), trust_artifact):
        pass


@contextlib.contextmanager
def _checked_copy(path: Path, trust_artifact: bool) -> Iterator[Path]:
    """Yields the local copy of an artifact that the check does not refuse."""
    if not path.exists():
        raise ValueError(f"There is no artifact {path}.")
    with local_copy(path) as local:
        is_file = local.is_file() and path.suffix in _BY_SUFFIX
        if not is_file and not (local / "saved_model.pb").is_file():
            raise ValueError(
                f"{path} is not an export artifact: a SavedModel's directory "
                f"or a file that ends in {', '.join(_BY_SUFFIX)}."
            )
        if not trust_artifact:
            check_artifact(path, local)
        yield local

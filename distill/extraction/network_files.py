"""Networks in files, ONNX, SavedModel and Keras, behind one call."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from distill.extraction.graph_macs import graph_macs
from distill.system.digests import path_hash
from distill.system.error_lines import first_line
from distill.system.extras import import_extra
from distill.system.storage import local_copy, to_path

Shape = tuple[int | None, ...]

_SIGNATURE = "serving_default"
# ONNX Runtime tells standard error of every error that it raises.
_FATAL = 4
_ONNX_TYPES = {"float": "float32", "double": "float64"}


@dataclasses.dataclass(frozen=True)
class Program:
    """A network's computation of batches.

    Attributes:
      input_shape: Of a batch; None for a size that may be any.
      input_type: NumPy's name of the input's type.
      run: Takes a batch; returns the output.
      count_macs: Takes the shape of a batch; returns its MACs, None if they
        are not known.
    """

    input_shape: Shape
    input_type: str
    run: Callable[[np.ndarray], np.ndarray]
    count_macs: Callable[[tuple[int, ...]], int | None] = lambda shape: None


class FileNetwork:
    """A network out of a file, that makes a list of numbers of an example.

    It runs one example at a time: matrix products of several rows round
    otherwise than those of one, and so the features of an example would depend
    on how many others there are.

    Args:
      name: Its name, `KIND:FILE`.
      program: What `load_program` returns for it.
      shape: Shape of an example, one that fits `program.input_shape`.

    Attributes:
      num_features: Numbers that it makes of an example.
      macs: Multiply-adds of an example; None if they are not known.
      identity: The name without folders, and the SHA-256 of the files.

    Raises:
      ValueError: The network does not run, or makes something else.
    """

    def __init__(self, name: str, program: Program, shape: tuple[int, ...]):
        kind, _, path = name.partition(":")
        self._path, self._program, self._shape = to_path(path), program, shape
        batch_size = program.input_shape[0]
        if batch_size not in (None, 1):
            raise ValueError(
                f"{path} takes batches of {batch_size} alone; it must take "
                "those of one example."
            )
        zeros = np.zeros((1, *shape), program.input_type)
        self.num_features = len(self._run(zeros))
        self.macs = program.count_macs(zeros.shape)
        self.identity = f"{kind}:{self._path.name} {path_hash(self._path)}"

    def __call__(self, examples: np.ndarray) -> np.ndarray:
        """Returns the features of examples.

        Args:
          examples: `[examples, *shape]`.

        Returns:
          float32 `[examples, num_features]`.

        Raises:
          ValueError: The network fails, or makes a number that is not finite.
        """
        batches = examples.reshape(-1, 1, *self._shape)
        found = np.zeros((len(batches), self.num_features), np.float32)
        for row, batch in zip(found, batches, strict=True):
            row[:] = self._run(batch.astype(self._program.input_type))
        if not np.isfinite(found).all():
            raise ValueError(f"{self._path} makes a number that is not finite.")
        return found

    def _run(self, batch: np.ndarray) -> np.ndarray:
        """Returns the features of one example, `[num_features]`."""
        try:
            output = np.asarray(self._program.run(batch))
        except Exception as error:
            # Each runtime has its own error classes.
            raise ValueError(
                f"{self._path} cannot run: {first_line(error)}."
            ) from error
        shape = output.shape
        is_list = shape and shape[0] == 1 and max(shape) == output.size
        if not is_list or output.dtype.kind != "f":
            raise ValueError(
                f"{self._path} makes {output.dtype} {list(shape)} of an "
                "example, not a list of floats."
            )
        return output.ravel()


def load_program(name: str, choices: tuple[str, ...] = ()) -> Program:
    """Returns the program of a network's file.

    Args:
      name: `onnx:FILE`, `saved_model:DIR` or `keras:FILE`, a `.keras` file.
      choices: Names that are accepted beside these, for the error.

    Raises:
      ValueError: The kind is another, the file is missing or damaged, or has
        several inputs or outputs.
    """
    kind, _, path = name.partition(":")
    if kind not in _LOADERS or not path:
        known = ", ".join((*choices, "onnx:FILE", "saved_model:DIR"))
        raise ValueError(f"{name!r} is no network: give {known} or keras:FILE.")
    return load_file(path, _LOADERS[kind])


def load_file(
    path: str | Path, load: Callable[[Path], Program], source: str = ""
) -> Program:
    """Returns what a function loads of a file or folder.

    Args:
      path: The file or folder, perhaps of cloud storage.
      load: Takes a local path.
      source: Where such a file comes from, for the error that it is missing.

    Raises:
      ValueError: There is no such file, or the function fails.
    """
    path = to_path(path)
    if not path.exists():
        raise ValueError(f"There is no {path}{source and f': {source}'}.")
    with local_copy(path) as local:
        try:
            return load(local)
        except Exception as error:
            # Each library has its own error classes for a damaged file.
            raise ValueError(
                f"{path} cannot be loaded: {first_line(error)}."
            ) from error


def _only(what: str, items: Any) -> Any:
    """Returns the one input or output that a network has."""
    if len(items) != 1:
        raise ValueError(f"it has {len(items)} {what}s, not one")
    return items[0]


def _load_onnx(path: Path) -> Program:
    runtime = import_extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL
    session = runtime.InferenceSession(
        str(path),
        options,
        providers=["CPUExecutionProvider"],
        # At an error the fallback prints, and tries the same again.
        enable_fallback=0,
    )
    given = _only("input", session.get_inputs())
    output = _only("output", session.get_outputs()).name
    kind = given.type.removeprefix("tensor(").removesuffix(")")
    return Program(
        # The axes of any size have names.
        tuple(d if isinstance(d, int) else None for d in given.shape),
        _ONNX_TYPES.get(kind, kind),
        lambda batch: session.run([output], {given.name: batch})[0],
    )


def _load_saved_model(path: Path) -> Program:
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    signatures = getattr(model, "signatures", {})
    if _SIGNATURE not in signatures:
        held = ", ".join(sorted(signatures)) or "none"
        raise ValueError(f"it has no signature {_SIGNATURE}; it has {held}")
    signature = signatures[_SIGNATURE]
    inputs = signature.structured_input_signature[1]
    name = _only("input", list(inputs))
    output = _only("output", list(signature.structured_outputs))

    def run(batch: np.ndarray) -> np.ndarray:
        # The signature alone does not keep the weights alive.
        found = model.signatures[_SIGNATURE](**{name: tf.constant(batch)})
        return found[output].numpy()

    given = inputs[name]
    return Program(tuple(given.shape), given.dtype.name, run)


def _load_keras(path: Path) -> Program:
    import keras

    if path.suffix != ".keras":
        raise ValueError("its name does not end in .keras")
    # The safe mode refuses files with code in them.
    return keras_program(
        keras.models.load_model(path, compile=False, safe_mode=True)
    )


def keras_program(model: Any) -> Program:
    """Returns the program of a Keras model of one input and one output."""
    import tensorflow as tf

    given = _only("input", getattr(model, "inputs", None) or [])
    _only("output", getattr(model, "outputs", None) or [])

    @tf.function(autograph=False)
    def run(batch):
        return model(batch, training=False)

    def macs(shape: tuple[int, ...]) -> int | None:
        spec = tf.TensorSpec(shape, given.dtype)
        return graph_macs(run.get_concrete_function(spec).graph, shape[0])

    return Program(
        tuple(given.shape),
        given.dtype,
        lambda batch: run(tf.constant(batch)).numpy(),
        macs,
    )


_LOADERS = {
    "onnx": _load_onnx,
    "saved_model": _load_saved_model,
    "keras": _load_keras,
}

"""Networks in files, ONNX, SavedModel and Keras, behind one call."""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from distill.system.digests import path_hash
from distill.system.error_lines import first_line
from distill.system.storage import local_copy, to_path

Shape = tuple[int | None, ...]

# Modules of a function `load_part` each, imported where one is asked for.
_LOADERS = {
    "onnx": "distill.extraction.onnx_programs",
    "saved_model": "distill.extraction.saved_model_programs",
    "keras": "distill.extraction.keras_programs",
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A network's computation of batches.

    Attributes:
      input_shape: Of a batch; None for a size that may be any.
      input_type: NumPy's name of the input's type.
      run: Takes a batch; returns the output.
      count_macs: Takes the shape of a batch; returns the MACs of an example,
        None if they are not known.
      digest: SHA-256 of its files; `load_file` sets that of its only one.
    """

    input_shape: Shape
    input_type: str
    run: Callable[[np.ndarray], np.ndarray]
    count_macs: Callable[[tuple[int, ...]], int | None] = lambda shape: None
    digest: str = ""


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
        self.identity = f"{kind}:{self._path.name} {program.digest}"

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
      name: `onnx:FILE`, `saved_model:DIR` or `keras:FILE`, a `.keras` file. The
        output may be another one: `onnx:FILE#TENSOR`, also an inner tensor;
        `saved_model:DIR#SIGNATURE` or `saved_model:DIR#SIGNATURE:OUTPUT`;
        `keras:FILE#LAYER`.
      choices: Names that are accepted beside these, for the error.

    Raises:
      ValueError: The kind is another, the file is missing or damaged, or has
        several inputs or outputs.
    """
    kind, _, rest = name.partition(":")
    if kind not in _LOADERS or not rest:
        known = ", ".join((*choices, "onnx:FILE", "saved_model:DIR"))
        raise ValueError(f"{name!r} is no network: give {known} or keras:FILE.")
    load_part = importlib.import_module(_LOADERS[kind]).load_part
    path, part = split_part(rest)
    return load_file(path, functools.partial(load_part, part=part))


def split_part(rest: str) -> tuple[str, str]:
    """Returns file and part of `FILE#PART`; the part is empty if none is."""
    file, separator, part = rest.rpartition("#")
    return (file, part) if separator else (rest, "")


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
            program = load(local)
            digest = program.digest or path_hash(local)
            return dataclasses.replace(program, digest=digest)
        except Exception as error:
            # Each library has its own error classes for a damaged file.
            raise ValueError(
                f"{path} cannot be loaded: {first_line(error)}."
            ) from error


def only(what: str, items: Sequence[str]) -> str:
    """Returns the name of the one input or output that a network has.

    Raises:
      ValueError: It has another number of them.
    """
    if len(items) != 1:
        names = f": {', '.join(items)}" if items else ""
        raise ValueError(f"it has {len(items)} {what}s, not one{names}")
    return items[0]

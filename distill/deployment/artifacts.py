"""The kinds of artifact: how each is written, and its tolerance."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from distill.deployment.converted_formats import (
    write_int8_onnx,
    write_litert,
    write_onnx,
)
from distill.deployment.interface import VideoInterface
from distill.deployment.signatures import write_saved_model
from distill.models.argument_checks import check_choice

Writer = Callable[[Path, keras.Model, VideoInterface, int], None]


@dataclasses.dataclass(frozen=True)
class ArtifactKind:
    """One kind of artifact.

    Attributes:
      format: `saved_model`, `keras`, `onnx` or `litert`.
      precision: The type in which its weights are stored.
      name: Its file or directory within the export.
      write: Writes it. Takes the path, the model from videos as stored to
        probabilities, its interface and the number of ranked classes.
    """

    format: str
    precision: str
    name: str
    write: Writer


def _without_ranking(
    write: Callable[[Path, keras.Model, VideoInterface], None],
) -> Writer:
    return lambda path, model, interface, top_k: write(path, model, interface)


def _litert(precision: str) -> Writer:
    return _without_ranking(
        functools.partial(write_litert, precision=precision)
    )


def _write_keras(path: Path, model: keras.Model, *_: Any) -> None:
    model.save(path)


_write_half = functools.partial(write_saved_model, half_weights=True)
_KINDS: tuple[tuple[str, str, str, Writer], ...] = (
    ("saved_model", "float32", "saved_model", write_saved_model),
    ("saved_model", "float16", "saved_model_float16", _write_half),
    ("keras", "float32", "model.keras", _write_keras),
    ("onnx", "float32", "model.onnx", _without_ranking(write_onnx)),
    ("onnx", "int8", "model_int8.onnx", _without_ranking(write_int8_onnx)),
    ("litert", "float32", "model.tflite", _litert("float32")),
    ("litert", "float16", "model_float16.tflite", _litert("float16")),
    ("litert", "int8", "model_int8.tflite", _litert("int8")),
)
KINDS = tuple(ArtifactKind(*kind) for kind in _KINDS)
FORMATS = tuple(dict.fromkeys(kind.format for kind in KINDS))
# Largest difference of the GAP from the checkpoint's; in float32 also of any
# probability.
TOLERANCES = {"float32": 1e-4, "float16": 1e-3, "int8": 5e-3}


def choose_kinds(
    formats: Sequence[str], precisions: Sequence[str]
) -> list[ArtifactKind]:
    """Returns the kinds of some formats and precisions.

    Raises:
      ValueError: A name is unknown, or no kind fits.
    """
    for name in formats:
        check_choice("format", name, FORMATS)
    for name in precisions:
        check_choice("precision", name, TOLERANCES)
    kinds = [
        kind
        for kind in KINDS
        if kind.format in formats and kind.precision in precisions
    ]
    if not kinds:
        offered = sorted({f"{k.format} in {k.precision}" for k in KINDS})
        raise ValueError(
            f"There is no {' or '.join(formats)} in {' or '.join(precisions)}; "
            f"there are {', '.join(offered)}."
        )
    return kinds


def count_bytes(path: Path) -> int:
    """Returns the size of a file, or of all files of a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())

"""The kinds of artifact: how each is written, and how far it may be off."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from distill.deployment.converted_formats import (
    quantize_onnx,
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
      precision: What its weights are stored as.
      name: Its file or directory within the export.
      write: Writes it: from the path, the model from videos as stored to
        probabilities, its interface and the classes a video in rankings.
    """

    format: str
    precision: str
    name: str
    write: Writer


def _saved_model(half_weights):
    def write(path, model, interface, top_k):
        write_saved_model(
            path, model, interface, top_k=top_k, half_weights=half_weights
        )

    return write


def _keras(path, model, interface, top_k):
    del interface, top_k
    model.save(path)


def _onnx(path, model, interface, top_k):
    del top_k
    write_onnx(path, model, interface)


def _onnx_int8(path, model, interface, top_k):
    del top_k
    source = path.with_name("." + path.name)
    try:
        write_onnx(source, model, interface)
        quantize_onnx(source, path)
    finally:
        source.unlink(missing_ok=True)


def _litert(precision):
    def write(path, model, interface, top_k):
        del top_k
        write_litert(path, model, interface, precision)

    return write


KINDS = (
    ArtifactKind("saved_model", "float32", "saved_model", _saved_model(False)),
    ArtifactKind(
        "saved_model", "float16", "saved_model_float16", _saved_model(True)
    ),
    ArtifactKind("keras", "float32", "model.keras", _keras),
    ArtifactKind("onnx", "float32", "model.onnx", _onnx),
    ArtifactKind("onnx", "int8", "model_int8.onnx", _onnx_int8),
    ArtifactKind("litert", "float32", "model.tflite", _litert("float32")),
    ArtifactKind(
        "litert", "float16", "model_float16.tflite", _litert("float16")
    ),
    ArtifactKind("litert", "int8", "model_int8.tflite", _litert("int8")),
)
FORMATS = tuple(dict.fromkeys(kind.format for kind in KINDS))
# How far the GAP may be off the checkpoint's; of float32 every probability.
TOLERANCES = {"float32": 1e-4, "float16": 1e-3, "int8": 5e-3}


def choose_kinds(
    formats: Sequence[str], precisions: Sequence[str]
) -> list[ArtifactKind]:
    """Returns the kinds of some formats and precisions.

    Raises:
      ValueError: A name is unknown, or nothing is left.
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
        offered = sorted({(k.format, k.precision) for k in KINDS})
        raise ValueError(
            f"There is no {' or '.join(formats)} in {' or '.join(precisions)}; "
            f"there are {', '.join(' in '.join(pair) for pair in offered)}."
        )
    return kinds


def count_bytes(path: Path) -> int:
    """Returns the size of a file, or of all files of a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())

"""The kinds of artifact: how each is written, and its tolerance."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras

from distill.deployment.converted_formats import (
    write_int8_onnx,
    write_litert,
    write_onnx,
)
from distill.deployment.interface import VideoInterface
from distill.deployment.signatures import write_saved_model
from distill.models.argument_checks import check_choice


@dataclasses.dataclass(frozen=True)
class ArtifactKind:
    """One kind of artifact.

    Attributes:
      format: `saved_model`, `keras`, `onnx` or `litert`.
      precision: The type in which its weights are stored.
      name: Its file or directory within the export.
    """

    format: str
    precision: str
    name: str

    def write(
        self,
        path: Path,
        model: keras.Model,
        interface: VideoInterface,
        top_k: int,
    ) -> None:
        """Writes an artifact of this kind.

        Args:
          path: The file or directory to write.
          model: From videos as stored to probabilities.
          interface: The model's inputs and outputs.
          top_k: Number of ranked classes, in a SavedModel.
        """
        if self.format == "saved_model":
            half_weights = self.precision == "float16"
            write_saved_model(path, model, interface, top_k, half_weights)
        elif self.format == "keras":
            model.save(path)
        elif self.format == "litert":
            write_litert(path, model, interface, self.precision)
        elif self.precision == "int8":
            write_int8_onnx(path, model, interface)
        else:
            write_onnx(path, model, interface)


KINDS = (
    ArtifactKind("saved_model", "float32", "saved_model"),
    ArtifactKind("saved_model", "float16", "saved_model_float16"),
    ArtifactKind("keras", "float32", "model.keras"),
    ArtifactKind("onnx", "float32", "model.onnx"),
    ArtifactKind("onnx", "int8", "model_int8.onnx"),
    ArtifactKind("litert", "float32", "model.tflite"),
    ArtifactKind("litert", "float16", "model_float16.tflite"),
    ArtifactKind("litert", "int8", "model_int8.tflite"),
)
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

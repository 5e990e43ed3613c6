"""The kinds of artifact: how each is written, and its tolerance."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

from distill.deployment.interface import VideoInterface
from distill.deployment.litert_graph import write_litert
from distill.deployment.onnx_graph import OnnxGraph
from distill.deployment.signatures import write_saved_model
from distill.models.argument_checks import check_choice


@dataclasses.dataclass(frozen=True)
class ArtifactSource:
    """What artifacts are made of.

    Attributes:
      model: From videos as stored to probabilities.
      interface: The model's inputs and outputs.
      top_k: Number of ranked classes, in a SavedModel.
      calibration: Batches of videos on which the ranges of activations are
        measured; only `int8_static` needs them.
    """

    model: keras.Model
    interface: VideoInterface
    top_k: int
    calibration: Iterable[dict[str, np.ndarray]] = ()

    @functools.cached_property
    def onnx_graph(self) -> OnnxGraph:
        """The network as an ONNX graph, converted once for all its files."""
        return OnnxGraph(self.model, self.interface)


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

    def write(self, path: Path, source: ArtifactSource) -> None:
        """Writes an artifact of this kind to a file or directory."""
        model, interface = source.model, source.interface
        if self.format == "saved_model":
            half_weights = self.precision == "float16"
            write_saved_model(
                path, model, interface, source.top_k, half_weights
            )
        elif self.format == "keras":
            model.save(path)
        elif self.format == "litert":
            write_litert(path, model, interface, self.precision)
        elif self.precision == "float32":
            source.onnx_graph.write(path)
        else:
            ranges = None
            if self.precision == STATIC:
                ranges = source.onnx_graph.measure_ranges(source.calibration)
            source.onnx_graph.write_int8(path, ranges)


# Weights of int8, activations of one scale for all videos.
STATIC = "int8_static"
KINDS = (
    ArtifactKind("saved_model", "float32", "saved_model"),
    ArtifactKind("saved_model", "float16", "saved_model_float16"),
    ArtifactKind("keras", "float32", "model.keras"),
    ArtifactKind("onnx", "float32", "model.onnx"),
    ArtifactKind("onnx", "int8", "model_int8.onnx"),
    ArtifactKind("onnx", STATIC, "model_int8_static.onnx"),
    ArtifactKind("litert", "float32", "model.tflite"),
    ArtifactKind("litert", "float16", "model_float16.tflite"),
    ArtifactKind("litert", "int8", "model_int8.tflite"),
)
FORMATS = tuple(dict.fromkeys(kind.format for kind in KINDS))
# Largest difference of the GAP from the checkpoint's; in float32 also of any
# probability.
TOLERANCES = {"float32": 1e-4, "float16": 1e-3, "int8": 5e-3, STATIC: 5e-3}
# Those that need no videos for calibration.
PRECISIONS = tuple(name for name in TOLERANCES if name != STATIC)


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

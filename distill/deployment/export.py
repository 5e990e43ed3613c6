"""From a checkpoint to artifacts that are checked to agree with it."""

import dataclasses
import gc
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from distill.checkpoints.checkpoint import read_progress, read_settings
from distill.data.pipeline import VideoReader
from distill.data.tfrecords import read_record
from distill.deployment import card as cards
from distill.deployment.artifacts import (
    FORMATS,
    PRECISIONS,
    STATIC,
    ArtifactKind,
    ArtifactSource,
    choose_kinds,
    count_bytes,
)
from distill.deployment.comparison import (
    CHECKPOINT,
    Comparison,
    check_agreement,
    to_arrays,
)
from distill.deployment.converted_formats import quiet_converters
from distill.deployment.interface import (
    CARD,
    EXAMPLE,
    VideoInterface,
    read_card,
)
from distill.deployment.runtimes import (
    ModelRuntime,
    Runtime,
    find_network,
    is_artifact,
    load_runtime,
)
from distill.deployment.scoring import load_scored_network, make_reader
from distill.deployment.signatures import EXAMPLES, MEDIAPIPE, SERVING
from distill.evaluation.evaluate import describe_frames_needed
from distill.models.frame_budget import FrameBudget
from distill.models.preprocessing import dequantize
from distill.networks.ensemble_file import Ensemble, is_ensemble
from distill.reporting.console import progress_bar
from distill.settings.class_names import (
    CLASS_NAMES,
    choose_class_names,
    write_class_names,
)
from distill.settings.frame_cost import FrameCost
from distill.settings.run_options import RunOptions
from distill.system.atomic_files import replace_directory
from distill.system.digests import path_hash
from distill.system.storage import to_path

FORMAT = "distill-export-1"
_CHECKED_RECORDS = 4
_CALIBRATION_BATCH, _CALIBRATION_BATCHES = 64, 16


@dataclasses.dataclass(frozen=True)
class Export:
    """A network to be exported.

    Attributes:
      checkpoint: Its file, for the card.
      role: `student` or `teacher`.
      network: The network, in float32.
      reader: Reads videos with labels, on which every artifact is compared
        with the checkpoint.
      pattern: The reader's files, for the card.
      class_names: The name of every class.
      top_k: Classes a video in rankings and in GAP.
      extraction: What `card.describe_extraction` returns, for the card.
      calibration: Reads other videos, of which `int8_static` measures the
        ranges of activations on the first 1,024.
    """

    checkpoint: str
    role: str
    network: Any
    reader: VideoReader
    pattern: str
    class_names: Sequence[str]
    top_k: int = 20
    extraction: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    calibration: VideoReader | None = None

    def __post_init__(self):
        """Checks that videos for calibration are held out."""
        if self.calibration is not None:
            _check_held_out(self.calibration, self.reader)

    @property
    def interface(self) -> VideoInterface:
        """Inputs and outputs of the artifacts."""
        return VideoInterface(
            self.network.schema, self.network.budget, tuple(self.class_names)
        )

    def write(
        self,
        directory: str | Path,
        kinds: Sequence[ArtifactKind],
        observe: Callable[[int], None] | None = None,
    ) -> Iterator[str]:
        """Writes the artifacts and their card, all of them or nothing.

        An earlier export in the directory is replaced. Yields lines on the
        progress; `observe` is called with the number of compared videos.

        Raises:
          ValueError: The directory holds other files, a runtime is not
            installed or cannot run the network, or an artifact does not agree
            with the checkpoint.
        """
        with replace_directory(directory, CARD) as folder:
            write_class_names(folder / CLASS_NAMES, self.class_names)
            checkpoint = ModelRuntime(self.network.raw_model())
            source = ArtifactSource(
                checkpoint.model,
                self.interface,
                self.top_k,
                self._calibration_batches(),
            )
            for kind in kinds:
                yield _write_artifact(folder / kind.name, kind, source)
            del source
            yield "comparing them with the checkpoint"
            card = self._compare(folder, kinds, checkpoint, observe)
            self._write_example(folder, checkpoint)
            cards.write_card(folder, card)
        yield cards.card_text(card)

    def _calibration_batches(self) -> Iterator[dict[str, np.ndarray]]:
        if self.calibration is None:
            return
        reader = dataclasses.replace(
            self.calibration,
            batch_size=_CALIBRATION_BATCH,
            budget=self.interface.reading_budget,
        )
        batches = itertools.islice(reader.read_once(), _CALIBRATION_BATCHES)
        for batch in batches:
            yield to_arrays(batch, self.interface)

    def _compare(
        self,
        folder: Path,
        kinds: Sequence[ArtifactKind],
        checkpoint: Runtime,
        observe: Callable[[int], None] | None,
    ) -> dict[str, Any]:
        """Returns the card; ValueError if an artifact does not agree."""
        with tempfile.TemporaryFile(dir=folder) as file:
            comparison = Comparison(
                self.reader, self.interface, self.top_k, file, observe
            )
            expected, num_videos = comparison.score_checkpoint(checkpoint)
            # The last first: LiteRT needs the most memory, and TensorFlow and
            # ONNX Runtime keep some.
            rows = [
                self._compare_artifact(
                    folder / kind.name, kind, comparison, expected
                )
                for kind in reversed(kinds)
            ]
        return self._describe(num_videos) | {
            "checkpoint": {
                "path": CHECKPOINT,
                "precision": "float32",
                "gap": expected["gap"],
                "mean_average_precision": expected["mean_average_precision"],
            },
            "artifacts": rows[::-1],
        }

    def _compare_artifact(
        self,
        path: Path,
        kind: ArtifactKind,
        comparison: Comparison,
        expected: Mapping[str, float],
    ) -> dict[str, Any]:
        """Returns an artifact's row of the card, if it agrees."""
        with quiet_converters():
            if kind.format == "saved_model":
                check_signatures(path, self.reader, self.interface)
                gc.collect()  # before it is loaded again
            runtime = load_runtime(path)
        found = comparison.score(runtime)
        check_agreement(kind.name, kind.precision, found, expected)
        times = comparison.time(runtime)
        del runtime
        gc.collect()  # before the next one is loaded
        return {
            "path": kind.name,
            "format": kind.format,
            "precision": kind.precision,
            "bytes": count_bytes(path),
            "sha256": path_hash(path),
            **found,
            **times,
        }

    def _describe(self, num_videos: int) -> dict[str, Any]:
        """Returns the card's head: source, network, data, machine."""
        network, schema = self.network, self.reader.schema
        role, step, first = "ensemble", None, self.checkpoint
        if is_ensemble(first):
            first = Ensemble.read(first).members[0].checkpoint
        else:
            role, step = self.role, read_progress(first)["step"]
        members = getattr(network, "networks", [network])
        return {
            "format": FORMAT,
            "interface": self.interface.to_json(),
            "source": {
                "checkpoint": self.checkpoint,
                "sha256": path_hash(self.checkpoint),
                "role": role,
                "step": step,
            },
            "network": {
                "model": " + ".join(m.settings.model for m in members),
                "frames": network.num_frames if schema.frame_features else None,
                **describe_frames_needed(network),
                "frames_seen": self.interface.budget.name,
                "parameters": network.num_parameters,
                "macs": network.macs,
                "num_classes": schema.num_classes,
                "label_loss": read_settings(first).training.label_loss,
            },
            **self.extraction,
            "data": {
                "pattern": self.pattern,
                "num_videos": num_videos,
                "examples": "segments" if schema.segment_labels else "videos",
            },
            "environment": cards.environment(),
        }

    def _write_example(self, folder: Path, runtime: Runtime) -> None:
        reader = dataclasses.replace(self.reader, batch_size=1)
        batch = next(iter(reader.read_once()))
        inputs = to_arrays(batch, self.interface)
        arrays: dict[str, Any] = {**inputs, "predictions": runtime(inputs)}
        np.savez(folder / EXAMPLE, **arrays)


def _write_artifact(
    path: Path, kind: ArtifactKind, source: ArtifactSource
) -> str:
    """Writes an artifact; returns a line of its size."""
    start = time.perf_counter()
    with quiet_converters():
        kind.write(path, source)
    gc.collect()  # graphs hold the weights in circles
    seconds = time.perf_counter() - start
    return f"{kind.name}: {count_bytes(path):,} bytes, {seconds:.0f} s"


def export(
    path: str | Path,
    export_dir: str | Path,
    pattern: str,
    *,
    role: str | None = None,
    formats: Sequence[str] = FORMATS,
    precisions: Sequence[str] = PRECISIONS,
    calibration_pattern: str | None = None,
    frame_budget: FrameBudget | None = None,
    class_names_file: str | Path | None = None,
    top_k: int = RunOptions.top_k,
    frame_cost: FrameCost | None = None,
    say: Callable[[str], None] = lambda line: None,
    **reading: Any,
) -> dict[str, Any]:
    """Writes a network as files that other programs run.

    An earlier export is replaced once all artifacts agree with the checkpoint.

    Args:
      path: A checkpoint, an ensemble's file, or a run (its `best.h5`, if any).
      export_dir: The directory to write.
      pattern: Globs of videos with labels, on which artifacts are compared.
      role: `student` or `teacher`; None where the file holds one network.
      formats: Some of `saved_model`, `keras`, `onnx` and `litert`.
      precisions: Some of `float32`, `float16`, `int8`, `int8_static`.
      calibration_pattern: Globs of other videos, for `int8_static`.
      frame_budget: The frames that it sees; None for those it was trained on.
      class_names_file: CSV file for `read_class_names`; None: their indexes.
      top_k: Classes a video in rankings and in GAP.
      frame_cost: What decoding and extracting a frame cost, for the card.
      say: Called with lines on the progress.
      **reading: `batch_size`, `on_bad_record` and `data`, as of `evaluate`.

    Returns:
      The contents of `card.json`. Its `artifacts` are dicts of `path` (in the
      directory), `format`, `precision`, `bytes`, `gap` and others.

    Raises:
      ValueError: A format is unknown or not installed, the directory holds
        other files, or an artifact does not agree with the checkpoint.

    Examples:
      >>> card = distill.export("runs/joint", "runs/export",
      ...     "runs/packed/validate-*", role="student", formats=["keras"])
      >>> card["artifacts"][0]["path"]
      'model.keras'
    """
    kinds = choose_kinds(formats, precisions)
    path = str(find_network(path))
    role = choose_network(path, role)
    reader = make_reader(path, pattern, **reading)
    others = _calibration_reader(kinds, path, calibration_pattern, reading)
    network = load_scored_network(path, role, budget=frame_budget)
    names = choose_class_names(class_names_file, reader.schema.num_classes)
    cost = cards.describe_extraction(frame_cost, network)
    written = Export(path, role, network, reader, pattern, names, top_k, cost)
    written = dataclasses.replace(written, calibration=others)
    return _write_with_bar(written, export_dir, kinds, say)


def _calibration_reader(
    kinds: Sequence[ArtifactKind],
    path: str,
    pattern: str | None,
    reading: Mapping[str, Any],
) -> VideoReader | None:
    """Returns a reader of videos for calibration, None if no kind needs it."""
    if not any(kind.precision == STATIC for kind in kinds):
        return None
    if pattern is None:
        raise ValueError(
            f"{STATIC} needs --calibration_data_pattern: videos, such as those "
            "of training, that the ranges of activations are measured on."
        )
    return make_reader(path, pattern, **reading, need_labels=False)


def _check_held_out(calibration: VideoReader, reader: VideoReader) -> None:
    """Checks that no file of one reader is one of the other's."""
    shared = set(map(_resolve, calibration.files))
    shared &= set(map(_resolve, reader.files))
    if shared:
        raise ValueError(
            f"--calibration_data_pattern and --eval_data_pattern share "
            f"{min(shared)}: calibrate on other videos than those that "
            "artifacts are scored on."
        )


def _resolve(file: str) -> str:
    return str(to_path(file).resolve())


def _write_with_bar(
    export: Export,
    directory: str | Path,
    kinds: Sequence[ArtifactKind],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Writes an export under a bar of its compared videos; returns the card."""
    networks = 1 + len(kinds)
    total = networks * export.reader.estimate_num_examples()
    with progress_bar("compared videos", total) as show:
        for line in export.write(directory, kinds, show):
            say(line)
    return read_card(to_path(directory), [])


def choose_network(checkpoint: str, role: str | None) -> str:
    """Returns the role of a checkpoint's network to export.

    Raises:
      ValueError: It is an artifact; or it holds two networks, and `role` is
        None.
    """
    if is_artifact(checkpoint):
        raise ValueError(f"{checkpoint} is exported already.")
    if role is not None or is_ensemble(checkpoint):
        return role or "student"
    settings = read_settings(checkpoint)
    if settings.teacher is not None and settings.student is not None:
        raise ValueError(
            f"{checkpoint} holds a teacher and a student: give "
            "--role=student or --role=teacher."
        )
    return "student" if settings.teacher is None else "teacher"


def check_signatures(
    path: Path, reader: VideoReader, interface: VideoInterface
) -> None:
    """Checks that a SavedModel's signatures agree on the first records.

    Raises:
      ValueError: Two signatures predict different numbers.
    """
    if reader.schema.segment_labels:
        return
    reader = dataclasses.replace(
        reader, files=reader.files[:1], batch_size=_CHECKED_RECORDS
    )
    batch = next(iter(reader.read_once()))
    inputs = to_arrays(batch, interface)
    numbers = batch["position"].numpy()
    # The variable keeps the weights alive; the signatures do not.
    model = tf.saved_model.load(str(path))
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    expected = model.signatures[SERVING](**tensors)["predictions"].numpy()
    serialized = [
        read_record(reader.files[0], int(number) - 1) for number in numbers
    ]
    found = {
        EXAMPLES: model.signatures[EXAMPLES](examples=tf.constant(serialized))
    }
    if "frames" in inputs:
        frames = tensors["frames"]
        if interface.schema.frame_type == "uint8":
            frames = dequantize(frames, interface.schema.quantisation_range)
        found[MEDIAPIPE] = model.signatures[MEDIAPIPE](
            rgb_and_audio=frames,
            num_frames=tensors["num_frames"][:, None],
        )
    for name, outputs in found.items():
        predictions = outputs["predictions"].numpy()
        if not np.allclose(predictions, expected, rtol=0, atol=1e-5):
            raise ValueError(
                f"{path.name}: the signatures {name} and {SERVING} do not "
                "agree."
            )

"""A network of any file, loaded and scored: checkpoint, ensemble, artifact."""

from pathlib import Path
from typing import Any

from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.deployment.artifact_network import (
    ArtifactNetwork,
    evaluate_artifact,
)
from distill.deployment.interface import read_interface
from distill.deployment.runtimes import find_network, is_artifact
from distill.deployment.unpacking import unpacked
from distill.evaluation.cascade import Cascade, CascadeNetwork
from distill.evaluation.evaluate import evaluate_checkpoint
from distill.evaluation.shared_reading import ALONE, SharedReading
from distill.models.argument_checks import check_choice
from distill.models.frame_budget import FrameBudget
from distill.networks.ensemble import read_data_schema
from distill.networks.loading import load_network
from distill.networks.network import Network
from distill.networks.stored_settings import check_same_data
from distill.reporting.console import progress_bar
from distill.settings.run_options import RunOptions
from distill.settings.schema import DataSchema
from distill.settings.training import TrainingSettings


def stored_schema(path: str | Path) -> DataSchema:
    """Returns the layout of the data that a file's network was trained on."""
    if is_artifact(path):
        with unpacked(path) as artifact:
            return read_interface(artifact.parent).schema
    return read_data_schema(path)


def readable_schema(path: str | Path, segments: bool) -> DataSchema:
    """Returns the layout of the videos, or segments, that a network reads.

    Any frame-level network reads segments, whatever it was trained on; an
    artifact reads the frames of its graph.

    Raises:
      ValueError: The network cannot read segments.
    """
    schema = stored_schema(path)
    if not segments or schema.segment_labels:
        return schema
    if is_artifact(path):
        raise ValueError(
            f"{path} reads whole videos: for --segment_labels give the "
            "--checkpoint that it was exported from."
        )
    return schema.of_segments()


def make_reader(
    path: str | Path,
    pattern: str,
    data: DataSchema | None = None,
    batch_size: int = TrainingSettings.batch_size,
    on_bad_record: str = RunOptions.on_bad_record,
    *,
    need_labels: bool = True,
    min_frames: int = TrainingSettings.min_frames,
) -> VideoReader:
    """Returns a reader of videos for the network of a file.

    The arguments are those of `evaluate`. Without `need_labels` a record may
    lack labels.
    """
    segments = data is not None and data.segment_labels
    schema = readable_schema(path, segments)
    if data is not None:
        check_same_data(path, schema, data, "the layout given")
    return VideoReader(
        data or schema,
        find_files(pattern),
        batch_size,
        need_labels=need_labels,
        on_bad_record=on_bad_record,
        min_frames=min_frames,
    )


def load_scored_network(
    path: str | Path,
    role: str = "student",
    precision: str = "float32",
    budget: FrameBudget | None = None,
    cascade_file: str | None = None,
    segments: bool = False,
    trust_artifact: bool = False,
) -> Any:
    """Loads a file's network, to be scored or exported.

    Args:
      path: A checkpoint, an ensemble or an artifact.
      role: Network of a checkpoint, `student` or `teacher`.
      precision: Of the computation: `float32` or `bfloat16`.
      budget: The frames that the network sees; None for those of before.
      cascade_file: File of a cascade, as which a student is run.
      segments: Whether it is given segments, not whole videos.
      trust_artifact: Whether an artifact is loaded without its check.

    Raises:
      ValueError: The file holds no such network, or an option is not for it.
    """
    if is_artifact(path):
        if budget is not None or cascade_file is not None:
            raise ValueError(
                f"{path}: an artifact sees the frames it was exported for; for "
                "other frames, or a cascade, export anew or give a checkpoint."
            )
        return ArtifactNetwork(path, trust_artifact)
    network = load_network(path, role, precision, budget, segments)
    if cascade_file is None:
        return network
    if role == "teacher" or not isinstance(network, Network):
        other = "the teacher" if role == "teacher" else "an ensemble"
        raise ValueError(f"--cascade_file is for a student, not {other}.")
    return CascadeNetwork(network, Cascade.read(cascade_file))


def evaluate(
    path: str | Path,
    pattern: str,
    *,
    role: str = "student",
    frame_budget: FrameBudget | None = None,
    top_k: int = RunOptions.top_k,
    mixed_precision: str = TrainingSettings.mixed_precision,
    cascade_file: str | None = None,
    sharing: SharedReading = ALONE,
    trust_artifact: bool = False,
    **reading: Any,
) -> dict[str, Any]:
    """Scores a network on videos with labels, as `distill evaluate` does.

    Args:
      path: A checkpoint, an ensemble's file, an artifact or its archive; or
        the directory of a run (its `best.h5` or else its newest checkpoint)
        or of an export (its first artifact).
      pattern: Globs of TFRecord files, comma-separated.
      role: Network of a checkpoint: `student` or `teacher`.
      frame_budget: The frames that it sees; None for those it was trained on.
      top_k: Classes a video that enter GAP.
      mixed_precision: `float32` or `bfloat16`, of the computation.
      cascade_file: File of a cascade, as which a student is run.
      sharing: The division among the workers of a distributed evaluation.
      trust_artifact: Whether an artifact is loaded without its check.
      **reading: `batch_size` (default 256), `on_bad_record` (`fail`, the
        default, or `skip`), `min_frames` (videos of fewer are left out,
        default 1) and `data`, the `DataSchema` of the records where their keys
        are not those of the training.

    Returns:
      Dict of `gap`, `hit_at_one`, `perr` and `mean_average_precision` in
      [0, 1], `loss`, `num_videos`, `frames`, `parameters`, `macs` (of a
      video), `examples_per_second`, `device`, `checkpoint`, `role`, `step`;
      of a network of means also `frames_needed`.

    Raises:
      ValueError: The file holds no such network, no file matches the pattern,
        a record is bad, or the videos have another layout.

    Examples:
      >>> scores = distill.evaluate("runs/joint", "runs/packed/validate-*")
      >>> 0 <= scores["gap"] <= 1
      True
    """
    path = str(find_network(path))
    check_choice("role", role, ("student", "teacher"))
    reader = make_reader(path, pattern, **reading)
    with sharing.workers.scope():
        options = (mixed_precision, frame_budget, cascade_file)
        network = load_scored_network(
            path, role, *options, reader.schema.segment_labels, trust_artifact
        )
    return score_with_bar(
        path, role, reader, role, network=network, top_k=top_k, sharing=sharing
    )


def score_with_bar(
    path: str,
    role: str,
    reader: VideoReader,
    title: str,
    *,
    sharing: SharedReading = ALONE,
    **options: Any,
) -> dict[str, Any]:
    """Scores by `evaluate_checkpoint`; shows a bar on a terminal meanwhile."""
    total = reader.estimate_num_examples() // sharing.workers.num_workers
    count = 0
    with progress_bar(f"{title}: videos", total) as show:

        def observe(videos: Any) -> None:
            nonlocal count
            count += len(videos.ids)
            show(count)

        options |= {"observe": observe, "sharing": sharing}
        if is_artifact(path):
            return evaluate_artifact(path, reader, **options)
        return evaluate_checkpoint(path, role, reader, **options)

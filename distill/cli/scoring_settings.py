"""From the flags' values to what is scored, and the files it reads."""

import contextlib
from pathlib import Path
from typing import Any

from absl import flags

from distill.cli.data_settings import data_schema_like, require
from distill.cli.flag_settings import frame_budget
from distill.models.frame_budget import ALL_FRAMES
from distill.networks.ensemble_file import (
    Member,
    is_ensemble,
    parse_member,
    parse_weights,
)

FLAGS = flags.FLAGS


def load_scored_network(checkpoint: str, role: str, workers: Any = None) -> Any:
    """Returns a checkpoint's network as it is evaluated.

    The flags' budget is the student's; without one it is as it was trained.
    With --cascade_file the student is run as a cascade. An ensemble's file
    stands for a checkpoint, and so does an artifact. It computes on the
    workers' devices, or on one.
    """
    from distill.deployment.runtimes import is_artifact

    if is_artifact(checkpoint):
        return _load_artifact(checkpoint)
    from distill.networks.cascade import Cascade, CascadeNetwork
    from distill.networks.loading import load_network

    budget = None if role == "teacher" else frame_budget(ALL_FRAMES)
    scope = contextlib.nullcontext() if workers is None else workers.scope()
    with scope:
        network = load_network(
            checkpoint,
            role,
            FLAGS.mixed_precision,
            None if budget == ALL_FRAMES else budget,
        )
    if FLAGS.cascade_file is None:
        return network
    if role == "teacher":
        raise ValueError("--cascade_file is for the student, not the teacher.")
    if is_ensemble(checkpoint):
        raise ValueError("--cascade_file is for a student, not an ensemble.")
    return CascadeNetwork(network, Cascade.read(FLAGS.cascade_file))


def _load_artifact(path: str) -> Any:
    """Returns the network of an artifact.

    Raises:
      ValueError: Another flag says which network, or which frames it sees.
    """
    from distill.deployment.artifact_network import ArtifactNetwork

    for flag in ("cascade_file", "frame_budget", "frame_selection", "every_n"):
        if FLAGS[flag].value is not None:
            raise ValueError(
                f"--{flag}: an artifact sees the frames it was exported for; "
                "export it anew, or give --checkpoint."
            )
    return ArtifactNetwork(path)


def score(scored: str, role: str, reader: Any, sharing: Any) -> dict[str, Any]:
    """Returns the scores of a checkpoint's network, ensemble or artifact."""
    from distill.deployment.artifact_network import evaluate_artifact
    from distill.deployment.runtimes import is_artifact
    from distill.evaluation.evaluate import evaluate_checkpoint

    network = load_scored_network(scored, role, sharing.workers)
    if is_artifact(scored):
        return evaluate_artifact(
            scored,
            reader,
            top_k=FLAGS.top_k,
            network=network,
            sharing=sharing,
        )
    return evaluate_checkpoint(
        scored,
        role,
        reader,
        top_k=FLAGS.top_k,
        network=network,
        sharing=sharing,
    )


def scored_file() -> str:
    """Returns the artifact, the checkpoint, or --train_dir's newest."""
    from distill.checkpoints.checkpoint import choose_checkpoint

    if FLAGS.artifact is not None:
        if FLAGS.checkpoint is not None:
            raise ValueError("Give --checkpoint or --artifact, not both.")
        return FLAGS.artifact
    return str(choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir))


def describe_scored(scored: str, role: str) -> dict[str, Any]:
    """Returns what predictions depend on: the file, the network, its frames."""
    from distill.deployment.card import path_hash

    kinds = ("frame_selection", "frame_budget", "every_n", "mixed_precision")
    given = {name: FLAGS[name].value for name in kinds}
    if FLAGS.cascade_file is not None:
        given["cascade"] = path_hash(FLAGS.cascade_file)
    return given | {"sha256": path_hash(scored), "role": role}


def evaluation_reader(
    checkpoint: str, *, need_labels: bool, pattern: str | None = None
) -> Any:
    """Returns a reader of the files to score or to predict.

    Args:
      checkpoint: The checkpoint, ensemble or artifact whose network will
        read them.
      need_labels: Whether a record without labels is bad.
      pattern: Globs; None: those of --eval_data_pattern.
    """
    from distill.data.files import find_files
    from distill.data.pipeline import VideoReader
    from distill.deployment.interface import read_interface
    from distill.deployment.runtimes import is_artifact
    from distill.networks.ensemble import read_data_schema

    if pattern is None:
        require("eval_data_pattern")
        pattern = FLAGS.eval_data_pattern
    if is_artifact(checkpoint):
        schema = read_interface(Path(checkpoint).parent).schema
    else:
        schema = read_data_schema(checkpoint)
    return VideoReader(
        data_schema_like(schema),
        find_files(pattern),
        FLAGS.batch_size,
        need_labels=need_labels,
        on_bad_record=FLAGS.on_bad_record,
    )


def ensemble_members() -> list[Member]:
    """Returns the members of --checkpoints with their --weights.

    Raises:
      ValueError: The weights are no numbers, or not one for each.
    """
    names = FLAGS.checkpoints
    if FLAGS.weights is not None and FLAGS.search_weights:
        raise ValueError("--weights are given, or searched, not both.")
    weights = parse_weights(FLAGS.weights, len(names), "checkpoints")
    return [
        parse_member(name, FLAGS.role, weight)
        for name, weight in zip(names, weights, strict=True)
    ]


def top_segments(num_classes: int) -> Any:
    """Returns what keeps the best segments of the classes to write."""
    from distill.evaluation.segment_inference import (
        TopSegments,
        read_class_list,
    )

    file = FLAGS.segment_label_ids_file
    classes = (
        range(num_classes)
        if file is None
        else read_class_list(file, num_classes)
    )
    return TopSegments(classes, FLAGS.segment_max_per_class)

"""The network to score, and the reader of its videos, from the flags."""

from pathlib import Path
from typing import Any

from distill.cli.experiment import data_schema_like, frame_budget
from distill.cli.settings_flags import FLAGS, flag_value, require
from distill.models.frame_budget import ALL_FRAMES


def load_scored_network(checkpoint: str, role: str, workers: Any) -> Any:
    """Returns the network of a checkpoint, an ensemble or an artifact.

    The flags' budget is the student's; without one it is as it was trained.
    With --cascade_file the student is run as a cascade. The network computes
    on the workers' devices.
    """
    from distill.deployment.runtimes import is_artifact

    if is_artifact(checkpoint):
        return _load_artifact(checkpoint)
    from distill.evaluation.cascade import Cascade, CascadeNetwork
    from distill.networks.loading import load_network
    from distill.networks.network import Network

    budget = None if role == "teacher" else frame_budget()
    with workers.scope():
        network = load_network(
            checkpoint,
            role,
            flag_value("mixed_precision") or "float32",
            None if budget == ALL_FRAMES else budget,
        )
    cascade_file = flag_value("cascade_file")
    if cascade_file is None:
        return network
    if role == "teacher" or not isinstance(network, Network):
        other = "the teacher" if role == "teacher" else "an ensemble"
        raise ValueError(f"--cascade_file is for a student, not {other}.")
    return CascadeNetwork(network, Cascade.read(cascade_file))


def _load_artifact(path: str) -> Any:
    from distill.deployment.artifact_network import ArtifactNetwork

    for flag in ("cascade_file", "frame_budget", "frame_selection", "every_n"):
        if flag_value(flag) is not None:
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
    from distill.reporting.console import progress_bar

    network = load_scored_network(scored, role, sharing.workers)
    options = {"top_k": FLAGS.top_k, "network": network, "sharing": sharing}
    total = reader.estimate_num_examples() // sharing.workers.num_workers
    count = 0
    with progress_bar(f"{role}: videos", total) as show:

        def observe(videos: Any) -> None:
            nonlocal count
            count += len(videos.ids)
            show(count)

        options["observe"] = observe
        if is_artifact(scored):
            return evaluate_artifact(scored, reader, **options)
        return evaluate_checkpoint(scored, role, reader, **options)


def scored_file() -> str:
    """Returns the artifact, the checkpoint, or --train_dir's newest."""
    from distill.checkpoints.checkpoint import choose_checkpoint

    if FLAGS.artifact is not None:
        if FLAGS.checkpoint is not None:
            raise ValueError("Give --checkpoint or --artifact, not both.")
        return FLAGS.artifact
    return str(choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir))


def evaluation_reader(
    checkpoint: str, *, need_labels: bool, pattern: str | None = None
) -> Any:
    """Returns a reader of the files to score or to predict.

    Args:
      checkpoint: The checkpoint, ensemble or artifact that will predict them.
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


def sharing(workers: Any) -> Any:
    """Returns the division of videos among workers."""
    from distill.evaluation.shared_reading import SharedReading

    return SharedReading(workers, FLAGS.shard_by == "batch")

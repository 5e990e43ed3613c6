"""The network to score, and the reader of its videos, from the flags."""

import functools
from collections.abc import Callable
from typing import Any

from distill.cli.experiment import data_schema_like, frame_budget
from distill.cli.settings_flags import FLAGS, flag_value, require
from distill.models.frame_budget import ALL_FRAMES, FrameBudget

# Flags that an artifact has no use for: its frames are part of its graph.
ARTIFACTS_FRAMES = (
    "frame_budget",
    "frame_selection",
    "every_n",
    "cascade_file",
)


def scored_budget(role: str) -> FrameBudget | None:
    """Returns the flags' budget, the student's; None: as it was trained."""
    budget = ALL_FRAMES if role == "teacher" else frame_budget()
    return None if budget == ALL_FRAMES else budget


def network_loader(
    checkpoint: str, role: str, segments: bool = False
) -> Callable[[], Any]:
    """Returns what loads the network of a file; it can be pickled."""
    from distill.deployment import scoring

    return functools.partial(
        scoring.load_scored_network,
        checkpoint,
        role,
        FLAGS.mixed_precision,
        scored_budget(role),
        FLAGS.cascade_file,
        segments,
        FLAGS.trust_artifact,
    )


def load_scored_network(
    checkpoint: str, role: str, workers: Any, segments: bool = False
) -> Any:
    """Returns the network of a checkpoint, an ensemble or an artifact.

    With --cascade_file the student is run as a cascade. The network computes
    on the workers' devices. With `segments` it is given these, not videos.
    """
    with workers.scope():
        return network_loader(checkpoint, role, segments)()


def score(path: str, role: str, sharing: Any) -> dict[str, Any]:
    """Returns the scores of a checkpoint's network, ensemble or artifact."""
    from distill.deployment.scoring import evaluate

    return evaluate(
        path,
        FLAGS.eval_data_pattern,
        role=role,
        frame_budget=scored_budget(role),
        top_k=FLAGS.top_k,
        mixed_precision=FLAGS.mixed_precision,
        cascade_file=FLAGS.cascade_file,
        sharing=sharing,
        trust_artifact=FLAGS.trust_artifact,
        **reading_options(path),
    )


def reading_options(path: str) -> dict[str, Any]:
    """Returns how the flags say that videos are read for a file's network."""
    from distill.deployment.scoring import readable_schema

    segments = bool(flag_value("segment_labels"))
    return {
        "data": data_schema_like(readable_schema(path, segments)),
        "batch_size": FLAGS.batch_size,
        "on_bad_record": FLAGS.on_bad_record,
        # Only a verb that may leave videos out has the flag.
        "min_frames": flag_value("min_frames") or 1,
    }


def scored_file() -> str:
    """Returns the artifact, the checkpoint, or --train_dir's newest.

    Raises:
      ValueError: Both are given, or an artifact with a flag that chooses
        frames.
    """
    from distill.checkpoints.checkpoint import choose_checkpoint

    if FLAGS.artifact is not None:
        if FLAGS.checkpoint is not None:
            raise ValueError("Give --checkpoint or --artifact, not both.")
        for flag in ARTIFACTS_FRAMES:
            if flag_value(flag) is not None:
                raise ValueError(
                    f"--{flag}: an artifact sees the frames it was exported "
                    "for; export it anew, or give --checkpoint."
                )
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
    from distill.deployment.scoring import make_reader

    if pattern is None:
        require("eval_data_pattern")
        pattern = FLAGS.eval_data_pattern
    options = reading_options(checkpoint)
    return make_reader(checkpoint, pattern, need_labels=need_labels, **options)


def sharing(workers: Any) -> Any:
    """Returns the division of videos among workers."""
    from distill.evaluation.shared_reading import SharedReading

    return SharedReading(workers, FLAGS.shard_by == "batch")

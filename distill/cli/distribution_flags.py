"""The flags of what computes together, and the workers they start."""

from typing import Any

from absl import flags

from distill.settings.run_options import SHARD_BY, STRATEGIES

FLAGS = flags.FLAGS


def define_distribution_flags() -> None:
    """Defines --strategy, --shard_by and --deterministic."""
    flags.DEFINE_enum(
        "strategy",
        "auto",
        STRATEGIES,
        "single: one device; mirrored: all GPUs of this machine; multi_worker: "
        "those of all machines that TF_CONFIG names; auto: the last where it "
        "names several, else mirrored.",
    )
    flags.DEFINE_enum(
        "shard_by",
        "file",
        SHARD_BY,
        "Of several workers: each reads files of its own, or all read every "
        "file and share the batches, which are then those of one process.",
    )
    flags.DEFINE_boolean(
        "deterministic",
        False,
        "Give the same bits again on the same machine, at the cost of speed.",
    )


def start_workers() -> Any:
    """Starts TensorFlow as the flags say; returns this process's place."""
    # Importing this defines flags of its own.
    from distill.cli.entry_point import start_tensorflow

    return start_tensorflow(FLAGS.gpu, FLAGS.strategy, FLAGS.deterministic)


def sharing(workers: Any) -> Any:
    """Returns how workers divide what is evaluated or predicted."""
    from distill.evaluation.shared_reading import SharedReading

    return SharedReading(workers, FLAGS.shard_by == "batch")

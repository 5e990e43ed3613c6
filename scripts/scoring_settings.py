"""From the flags' values to what is scored, and the files it reads."""

from typing import Any

from absl import flags

from models.frame_budget import ALL_FRAMES
from scripts.data_settings import data_schema_like, require
from scripts.flag_settings import frame_budget

FLAGS = flags.FLAGS


def load_scored_network(checkpoint: str, which: str) -> Any:
    """Returns a checkpoint's network as it is evaluated.

    The flags' budget is the student's; without one it is as it was trained.
    With --cascade_file the student is run as a cascade.
    """
    from distill.cascade import Cascade, CascadeNetwork
    from distill.evaluation import load_network

    budget = None if which == "teacher" else frame_budget(ALL_FRAMES)
    network = load_network(
        checkpoint,
        which,
        FLAGS.mixed_precision,
        None if budget == ALL_FRAMES else budget,
    )
    if FLAGS.cascade_file is None:
        return network
    if which == "teacher":
        raise ValueError("--cascade_file is for the student, not the teacher.")
    return CascadeNetwork(network, Cascade.read(FLAGS.cascade_file))


def evaluation_reader(
    checkpoint: str, *, need_labels: bool, pattern: str | None = None
) -> Any:
    """Returns a reader of the files to score or to predict.

    Args:
      checkpoint: The checkpoint whose network will read them.
      need_labels: Whether a record without labels is bad.
      pattern: Globs; None: those of --eval_data_pattern.
    """
    from distill.data.files import find_files
    from distill.data.pipeline import VideoReader
    from distill.training.checkpoints import read_settings

    if pattern is None:
        require("eval_data_pattern")
        pattern = FLAGS.eval_data_pattern
    return VideoReader(
        data_schema_like(read_settings(checkpoint).data),
        find_files(pattern),
        FLAGS.batch_size,
        need_labels=need_labels,
        on_bad_record=FLAGS.on_bad_record,
    )


def top_segments(num_classes: int) -> Any:
    """Returns what keeps the best segments of the classes to write."""
    from distill.segment_inference import TopSegments, read_class_list

    file = FLAGS.segment_label_ids_file
    classes = (
        range(num_classes)
        if file is None
        else read_class_list(file, num_classes)
    )
    return TopSegments(classes, FLAGS.segment_max_per_class)

"""How many examples files hold, guessed from their first records."""

import numpy as np
import tensorflow as tf

from distill.data.record_lengths import limit_records
from distill.data.segments import parse_segments
from distill.data.skipped_records import FRAMING_BYTES
from distill.settings.schema import DataSchema

_FIRST_RECORDS = 64


def estimate_num_records(files: list[str]) -> int:
    """Estimates the number of records by the mean size of the first 64."""
    first = _first_records(files)
    sizes = [len(record.numpy()) + FRAMING_BYTES for record in first]
    if not sizes:
        return 0
    total = sum(tf.io.gfile.stat(file).length for file in files)
    return round(total * len(sizes) / sum(sizes))


def estimate_num_segments(
    files: list[str], schema: DataSchema, need_labels: bool
) -> int:
    """Estimates the number of segments by the first 64 records'.

    Args:
      files: The files' names.
      schema: The records' layout.
      need_labels: Whether the rated segments are counted, or all.
    """

    def count_segments(serialized):
        return tf.size(parse_segments(serialized, schema, need_labels)["id"])

    counts = _first_records(files).map(count_segments).ignore_errors()
    counts = list(counts.as_numpy_iterator())
    return round(estimate_num_records(files) * np.mean(counts or [0]))


def _first_records(files):
    names = tf.data.Dataset.from_tensor_slices(files)
    records = names.flat_map(
        lambda name: tf.data.TFRecordDataset(name).take(limit_records(name))
    )
    return records.ignore_errors().take(_FIRST_RECORDS)

"""Which records and batches of a pass come, and where they are in it."""

from typing import Any

import tensorflow as tf

from distill.data.skipped_records import SkippedRecords

Record = dict[str, tf.Tensor]


def number(dataset: tf.data.Dataset, position: int) -> tf.data.Dataset:
    """Numbers the examples from 1, those left out at the start as well."""
    numbers = tf.data.Dataset.counter(1)
    numbered = tf.data.Dataset.zip({"example": dataset, "position": numbers})
    return numbered.skip(position)


def flatten(numbered: dict[str, Any]) -> Record:
    """Returns numbered examples, or batches of them, as one dict."""
    return numbered["example"] | {"position": numbered["position"]}


def take_turns(
    batches: tf.data.Dataset, turn: tuple[int, int]
) -> tf.data.Dataset:
    """Returns every n-th batch, from the i-th on."""
    index, count = turn
    return batches if count == 1 else batches.shard(count, index)


def count_bytes(skipped: SkippedRecords, records: Record) -> Record:
    """Counts the bytes of records that pass (in the graph)."""
    skipped.count_bytes(records["file_index"], records["serialized"])
    return records


def data_options() -> tf.data.Options:
    """Returns options by which a batch's parser leaves the step its cores."""
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    return options

"""Parsers of raw records inside tf.data, traced once for like passes.

Every pass over the data builds its pipeline anew, and tracing the parser was
most of that. So passes that parse alike share their parser.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from distill.data.frame_draws import draw_for_videos
from distill.data.numbering import flatten
from distill.data.packed_batches import PackedParser
from distill.data.records import Parsed, parse_record, parse_records
from distill.data.segments import parse_segments
from distill.data.skipped_records import SkippedRecords
from distill.models.frame_budget import FrameBudget
from distill.settings.schema import DataSchema

# Random frames are drawn with another key in every epoch.
_MOST_KEPT = 32


@functools.lru_cache(_MOST_KEPT)
class TracedParser:
    """Parses the raw records of `distill.data.tfrecords` as a pass needs them.

    Calls with equal arguments give the same object.

    Args:
      schema: The records' layout.
      need_labels: Whether a record without labels is bad.
      budget: The frames that are decoded of a video.
      draw_key: Key of the random numbers.
      num_draws: Random numbers that every video brings along as `draws`.
      min_frames: Shorter videos have the reason `TOO_SHORT`, one by one.
    """

    def __init__(
        self,
        schema: DataSchema,
        need_labels: bool,
        budget: FrameBudget,
        draw_key: str,
        num_draws: int,
        min_frames: int,
    ):
        arguments = (schema, need_labels, budget, draw_key)

        def add_draws(parsed):
            if num_draws:
                parsed["draws"] = draw_for_videos(
                    parsed["id"], num_draws, draw_key
                )
            return parsed

        def parse_batch(serialized):
            return add_draws(parse_records(serialized, *arguments))

        def parse_one(serialized):
            if schema.segment_labels:
                return add_draws(parse_segments(serialized, *arguments))
            return add_draws(parse_record(serialized, *arguments, min_frames))

        self._parse_batch, self._parse_one = (
            _trace(parse_batch),
            _trace(parse_one),
        )
        if schema.frame_features:
            packed = PackedParser(*arguments)
            self._read_packed = _trace(packed.read)
            self._finish_packed = _trace(
                lambda read: add_draws(packed.finish(read))
            )

    def parse_one_by_one(self, records: tf.data.Dataset) -> tf.data.Dataset:
        """Parses single records, each to a video or to its segments."""
        return _map(records, _beside_place(self._parse_one))

    def parse_batches(
        self,
        numbered: tf.data.Dataset,
        batch_size: int,
        turn: tuple[int, int],
        skipped: SkippedRecords | None,
        is_packed: bool,
    ) -> tf.data.Dataset:
        """Parses whole batches of records.

        Args:
          numbered: The records, numbered.
          batch_size: Records a batch.
          turn: `(i, n)`: only every n-th batch, from the i-th on.
          skipped: Counts the bytes of all records; None: not.
          is_packed: Whether most records are packed. Either way reads records
            of both forms; this only says which is faster.
        """
        index, num_turns = turn
        if is_packed:
            batches = self._read_batches(numbered, batch_size, skipped)

            def finish(batch):
                return self._finish_packed(batch["read"]) | batch["record"]

            return _map(batches.shard(num_turns, index), finish)
        batches = numbered.batch(batch_size).map(flatten)
        if skipped is not None:
            batches = batches.map(skipped.count_bytes)
        batches = batches.shard(num_turns, index)
        return _map(batches, _beside_place(self._parse_batch))

    def _read_batches(
        self,
        numbered: tf.data.Dataset,
        batch_size: int,
        skipped: SkippedRecords | None,
    ) -> tf.data.Dataset:
        """Returns batches of `read`, decoded records, and their `record`."""

        def read(numbered_record):
            record = flatten(numbered_record)
            serialized = record.pop("serialized")
            record["length"] = tf.strings.length(serialized)
            return {"record": record, "read": self._read_packed(serialized)}

        def count(batch):
            record = batch["record"]
            if skipped is not None:
                skipped.count_lengths(record)
            record.pop("length", None)
            return batch

        # Fused, a map and a batch decode into the memory of the batch.
        return _map(numbered, read).batch(batch_size).map(count)


def _trace(function: Callable) -> Callable:
    return tf.function(function, autograph=False)


def _beside_place(parse: Callable[[tf.Tensor], Parsed]) -> Callable:
    """Returns a function of records that keeps all but their bytes."""

    def apply(record):
        serialized = record.pop("serialized")
        return parse(serialized) | record

    return apply


def _map(dataset: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    return dataset.map(
        function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )

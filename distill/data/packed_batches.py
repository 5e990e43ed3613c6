"""Parses packed records one by one on their way into a batch.

A batch of packed strings would be copied by every operation, and does not fit
the processor's caches. So each record is decoded alone, by few operations, to
frames that only the batch copies. All else happens once a batch.
"""

import tensorflow as tf

from distill.data.frame_draws import draw_for_videos
from distill.data.kept_frames import (
    BUDGET_KEY,
    check_budget,
    holds_kept_frames,
    kept_positions,
)
from distill.data.packed_frames import (
    PackedFrames,
    are_packed,
    check_lengths,
)
from distill.data.records import Parsed, check_context, parse_records
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import select_frames
from distill.settings.schema import DataSchema


class PackedParser:
    """Parses frame-level records of which most are packed.

    It gives what `distill.data.records.parse_records` gives of whole videos,
    and takes that way for the records that are not packed.

    Args:
      schema: The records' layout.
      need_labels: Whether a record without labels is bad.
      budget: Only its frames are kept, or means of all.
      draw_key: Key of the random numbers that select frames.
    """

    def __init__(
        self,
        schema: DataSchema,
        need_labels: bool,
        budget: FrameBudget,
        draw_key: str,
    ):
        self._schema, self._need_labels = schema, need_labels
        self._budget, self._draw_key = budget, draw_key
        self._is_whole = budget.keeps_all or budget.averages
        self._num_draws = budget.num_draws(schema.max_frames)
        if not self._is_whole and not self._num_draws:
            self._table = _tabulate_positions(budget, schema.max_frames)

    def read(self, serialized: tf.Tensor) -> Parsed:
        """Decodes one record, without checking it.

        Args:
          serialized: A string.

        Returns:
          What `finish` takes, in batches.
        """
        schema = self._schema
        string = tf.io.FixedLenFeature([], tf.string, default_value="")
        names = (schema.id_key, BUDGET_KEY, *schema.feature_names)
        wanted = dict.fromkeys(names, string)
        wanted[schema.labels_key] = tf.io.VarLenFeature(tf.int64)
        # The quicker parser of Examples ends the process where a string states
        # a length of gigabytes.
        context, _, _ = tf.io.parse_sequence_example(serialized[None], wanted)
        packed = PackedFrames(
            [context[name] for name in schema.feature_names],
            schema,
            schema.max_frames,
        )
        frames, kept = self._select(context, packed)
        other = tf.where(are_packed(packed.lengths[0]), "", serialized)
        return {
            "id": context[schema.id_key],
            "held": context[BUDGET_KEY],
            "labels": _count_labels(
                context[schema.labels_key].values, schema.num_classes
            ),
            "frames": frames,
            "num_kept": kept,
            "lengths": packed.lengths,
            "not_finite": packed.not_finite,
            # A record of the other form, as it is.
            "other": other,
        }

    def _select(
        self, context: dict[str, tf.Tensor], packed: PackedFrames
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the frames that stay, and their number, of one record."""
        if self._is_whole:
            return packed.whole(), tf.zeros([1], tf.int32)
        schema, budget = self._schema, self._budget
        most = schema.max_frames
        num_frames, _ = check_lengths(packed.lengths, packed.not_finite, schema)
        num_frames = tf.minimum(num_frames, most)
        are_kept = holds_kept_frames(
            context[BUDGET_KEY], budget, self._draw_key
        )
        if not self._num_draws:
            row = num_frames + tf.where(are_kept, most + 1, 0)
            positions, kept = (tf.gather(each, row) for each in self._table)
            return packed.take(positions), kept
        draws = draw_for_videos(
            context[schema.id_key], self._num_draws, self._draw_key
        )
        positions, kept = kept_positions(
            num_frames, are_kept, budget, most, draws
        )
        frames = packed.take(positions)
        real = tf.sequence_mask(kept, positions.shape[1])[..., None]
        return tf.where(real, frames, tf.zeros([], frames.dtype)), kept

    def finish(self, read: Parsed) -> Parsed:
        """Checks a batch of what `read` returns.

        Returns:
          The same as `distill.data.records.parse_records`.
        """
        schema, budget = self._schema, self._budget
        read = {
            name: value if name == "other" else tf.squeeze(value, 1)
            for name, value in read.items()
        }
        num_frames, reason = check_lengths(
            read["lengths"], read["not_finite"], schema
        )
        kept, frames = read["num_kept"], read["frames"]
        if self._is_whole:
            kept = tf.minimum(num_frames, schema.max_frames)
            draws = draw_for_videos(read["id"], self._num_draws, self._draw_key)
            videos = {"frames": frames, "num_frames": kept, "draws": draws}
            chosen = select_frames(videos, budget, schema.quantisation_range)
            kept, frames = chosen["num_frames"], chosen["frames"]
        are_kept = holds_kept_frames(read["held"], budget, self._draw_key)
        reason = check_budget(read["held"], are_kept, num_frames, 1, reason)
        counts = read["labels"]
        reason = check_context(
            read["id"],
            has_labels=tf.reduce_any(counts > 0, axis=1),
            outside=(counts[:, 0] > 0) | (counts[:, -1] > 0),
            need_labels=self._need_labels,
            reason=reason,
        )
        parsed = {
            "frames": frames,
            "num_frames": kept,
            "reason": reason,
            "id": read["id"],
            "labels": counts[:, 1:-1] > 0,
        }
        return self._replace_others(parsed, read)

    def _replace_others(self, parsed: Parsed, read: Parsed) -> Parsed:
        """Returns a batch with the records that are not packed parsed too."""
        is_other = ~are_packed(read["lengths"])

        # Called, not inlined: a branch that is not taken costs nothing.
        @tf.function(experimental_attributes={"_noinline": True})
        def replace():
            others = parse_records(
                read["other"],
                self._schema,
                self._need_labels,
                self._budget,
                self._draw_key,
            )
            return {
                name: tf.where(
                    tf.reshape(is_other, [-1] + [1] * (value.shape.rank - 1)),
                    others[name],
                    value,
                )
                for name, value in parsed.items()
            }

        return tf.cond(tf.reduce_any(is_other), replace, lambda: parsed)


def _count_labels(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Returns int32 `[1, classes + 2]`, 1 for each class that a video has.

    The first is for a negative label, the last for one beyond the classes.
    """
    places = tf.clip_by_value(labels, -1, num_classes) + 1
    return tf.raw_ops.DenseBincount(
        input=places,
        size=num_classes + 2,
        weights=tf.constant([], tf.int32),
        binary_output=True,
    )[None]


def _tabulate_positions(
    budget: FrameBudget, max_frames: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the positions of a budget's frames for every number of frames.

    They are followed by those in records that hold the frames of the budget
    alone. Positions beyond the frames that are kept lead to a frame behind the
    video's last, which is zeros: there is one wherever a budget keeps fewer
    frames than its width.

    Returns:
      int32 `[2 * (max_frames + 1), width]` and the numbers of frames that are
      kept, int32 `[2 * (max_frames + 1)]`.
    """
    count = max_frames + 1
    num_frames = tf.tile(tf.range(count), [2])
    positions, kept = kept_positions(
        num_frames,
        tf.range(2 * count) >= count,
        budget,
        max_frames,
        tf.zeros([2 * count, 0]),
    )
    behind = tf.minimum(num_frames, max_frames - 1)[:, None]
    real = tf.sequence_mask(kept, budget.width(max_frames))
    return tf.where(real, positions, behind), kept

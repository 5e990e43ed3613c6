"""Parses serialised records to batches of videos, inside the graph.

A bad record raises nothing: it gets a reason code, its values are undefined,
and `distill.data.bad_records` describes what is wrong with it. Only a record
that is not a message of the expected kind makes TensorFlow's parser raise.
"""

from typing import Any

import tensorflow as tf

from distill.data.frame_draws import EVALUATION_KEY, draw_for_videos
from distill.data.kept_frames import (
    BUDGET_KEY,
    check_budget,
    holds_kept_frames,
    kept_positions,
)
from distill.data.reasons import GOOD, first_reason
from distill.data.stored_frames import StoredFrames
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.models.frame_selection import select_frames
from distill.settings.schema import DataSchema

Parsed = dict[str, tf.Tensor]


def parse_record(
    serialized: tf.Tensor,
    schema: DataSchema,
    need_labels: bool,
    budget: FrameBudget = ALL_FRAMES,
    draw_key: str = EVALUATION_KEY,
    min_frames: int = 1,
) -> dict[str, tf.Tensor]:
    """Parses and checks one record as `parse_records` does a batch."""
    parsed = parse_records(
        serialized[None], schema, need_labels, budget, draw_key, min_frames
    )
    return {name: value[0] for name, value in parsed.items()}


def parse_records(
    serialized: tf.Tensor,
    schema: DataSchema,
    need_labels: bool,
    budget: FrameBudget = ALL_FRAMES,
    draw_key: str = EVALUATION_KEY,
    min_frames: int = 1,
) -> dict[str, tf.Tensor]:
    """Parses and checks a batch of records.

    Args:
      serialized: `[batch]` strings, SequenceExamples or Examples.
      schema: The records' layout.
      need_labels: Whether a record without labels is bad.
      budget: Only its frames are decoded, or means of all are taken. A
        record that holds a budget's frames alone is good for that budget
        alone, without random numbers or, of `random_k`, at evaluation.
      draw_key: Key of the random numbers that select frames.
      min_frames: A good video of fewer frames has the reason `TOO_SHORT`. A
        record that holds a budget's frames alone is bad if this is above 1.

    Returns:
      Dict of `reason` int32 `[batch]` (0 if good), `id` string `[batch]`,
      `labels` bool `[batch, num_classes]` and, at frame level, `frames` of
      the schema's `frame_type` (means: float32) `[batch, selected frames,
      features]`, zeros beyond the last, and `num_frames` int32 `[batch]`; at
      video level `features` float32 `[batch, features]`.
    """
    context = {
        schema.id_key: tf.io.FixedLenFeature([], tf.string, default_value=""),
        schema.labels_key: tf.io.VarLenFeature(tf.int64),
    }
    if schema.frame_features:
        context, contents, reason = _parse_frames(
            serialized, schema, context, budget, draw_key, min_frames
        )
    else:
        context, contents, reason = _parse_features(serialized, schema, context)
    video_id = context[schema.id_key]
    labels, num_labels, outside = _to_multi_hot(
        context[schema.labels_key], schema.num_classes
    )
    reason = check_context(
        video_id, num_labels > 0, outside, need_labels, reason
    )
    return contents | {"reason": reason, "id": video_id, "labels": labels}


def check_context(
    video_id: tf.Tensor,
    has_labels: tf.Tensor,
    outside: tf.Tensor,
    need_labels: bool,
    reason: tf.Tensor,
) -> tf.Tensor:
    """Returns the reason codes of records, by their ids and labels first.

    Args:
      video_id: string `[batch]`.
      has_labels: bool `[batch]`, whether there is a label.
      outside: bool `[batch]`, whether a label is no class.
      need_labels: Whether a record without labels is bad.
      reason: int32 `[batch]`, the reason codes of the contents.
    """
    return first_reason(
        [
            (tf.equal(video_id, ""), "no id"),
            (need_labels & ~has_labels, "no labels"),
            (outside, "label outside the classes"),
        ],
        reason,
    )


def _parse_frames(
    serialized: tf.Tensor,
    schema: DataSchema,
    context_features: dict[str, Any],
    budget: FrameBudget,
    draw_key: str,
    min_frames: int,
) -> tuple[Parsed, Parsed, tf.Tensor]:
    """Returns the parsed context, the frames kept and their reason codes."""
    held = tf.io.FixedLenFeature([], tf.string, default_value="")
    stored = StoredFrames(
        serialized, schema, context_features | {BUDGET_KEY: held}
    )
    context, most = stored.context, schema.max_frames
    draws = draw_for_videos(
        context[schema.id_key], budget.num_draws(most), draw_key
    )
    held = context[BUDGET_KEY]
    are_kept = holds_kept_frames(held, budget, draw_key)
    num_frames = tf.minimum(stored.num_frames, most)
    if budget.keeps_all or budget.averages:
        # A record that holds a budget's means keeps them: a part has one.
        contents = select_frames(
            {
                "frames": stored.whole(),
                "num_frames": num_frames,
                "draws": draws,
            },
            budget,
            schema.quantisation_range,
        )
    else:
        positions, kept = kept_positions(
            num_frames, are_kept, budget, most, draws
        )
        frames = stored.take(positions, kept)
        contents = {"frames": frames, "num_frames": kept}
    reason = check_budget(
        held, are_kept, stored.num_frames, min_frames, stored.reason
    )
    kept = {name: contents[name] for name in ("frames", "num_frames")}
    return context, kept, reason


def _parse_features(
    serialized: tf.Tensor, schema: DataSchema, context_features: dict[str, Any]
) -> tuple[Parsed, Parsed, tf.Tensor]:
    # An Example has the bytes of a SequenceExample's context. The parser of
    # Examples would allocate any length that a list of floats states.
    parsed, _, _ = tf.io.parse_sequence_example(
        serialized,
        context_features
        | {
            name: tf.io.RaggedFeature(tf.float32)
            for name in schema.feature_names
        },
    )
    values = [parsed[name] for name in schema.feature_names]
    widths = tf.stack([value.row_lengths() for value in values], axis=1)
    features = tf.concat(
        [
            value.to_tensor(shape=[None, size])
            for value, size in zip(values, schema.feature_sizes, strict=True)
        ],
        axis=1,
    )
    finite = tf.reduce_all(tf.math.is_finite(features), axis=1)
    wrong_width = tf.reduce_any(widths != schema.feature_sizes, axis=1)
    reason = first_reason(
        [
            (tf.reduce_any(widths == 0, axis=1), "missing feature"),
            (wrong_width, "wrong width"),
            (~finite, "value not finite"),
        ],
        tf.fill(tf.shape(serialized), GOOD),
    )
    return parsed, {"features": features}, reason


def _to_multi_hot(
    labels: tf.SparseTensor, num_classes: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns labels as bools, their number, and whether one is no class."""
    rows, values = labels.indices[:, 0], labels.values
    num_videos = labels.dense_shape[0]
    wrong = (values < 0) | (values >= num_classes)
    right = tf.boolean_mask(tf.stack([rows, values], axis=1), ~wrong)
    hot = tf.scatter_nd(
        right,
        tf.ones_like(right[:, 0], tf.int32),
        tf.stack([num_videos, num_classes]),
    )
    num_wrong = tf.math.unsorted_segment_sum(
        tf.cast(wrong, tf.int32), rows, num_videos
    )
    num_labels = tf.math.unsorted_segment_sum(
        tf.ones_like(values), rows, num_videos
    )
    hot = tf.ensure_shape(hot > 0, [None, num_classes])
    return hot, num_labels, num_wrong > 0

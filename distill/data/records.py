"""Serialized records to the tensors of a batch of videos, inside the graph.

Nothing here raises for a bad record: it gets a reason code, its values mean
nothing, and `distill.data.bad_records` tells what is wrong with it. A record
that is no message of the expected kind at all makes TensorFlow's parser raise.
"""

from typing import Any

import tensorflow as tf

from distill.data.schema import DataSchema
from models.frame_selection import num_selected, select_every_n

GOOD = 0
NO_ID = 1
NO_LABELS = 2
LABEL_OUTSIDE_CLASSES = 3
NO_FRAMES = 4
MISSING_FEATURE = 5
LENGTHS_DIFFER = 6
WRONG_WIDTH = 7
NOT_FINITE = 8
NO_SEGMENTS = 9
SEGMENT_LISTS_DIFFER = 10
SCORE_OUTSIDE = 11
SEGMENT_LENGTH = 12
SEGMENT_OUTSIDE = 13

REASONS = {
    NO_ID: "no id",
    NO_LABELS: "no labels",
    LABEL_OUTSIDE_CLASSES: "label outside the classes",
    NO_FRAMES: "no frames",
    MISSING_FEATURE: "missing feature",
    LENGTHS_DIFFER: "feature lists of different lengths",
    WRONG_WIDTH: "wrong width",
    NOT_FINITE: "value not finite",
    NO_SEGMENTS: "no rated segments",
    SEGMENT_LISTS_DIFFER: "segment lists of different lengths",
    SCORE_OUTSIDE: "segment score outside 0 to 1",
    SEGMENT_LENGTH: "segment of another length",
    SEGMENT_OUTSIDE: "segment outside the video",
}


def parse_record(
    serialized: tf.Tensor,
    schema: DataSchema,
    need_labels: bool,
    every_n: int = 1,
) -> dict[str, tf.Tensor]:
    """Parses and checks one record as `parse_records` does a batch."""
    parsed = parse_records(serialized[None], schema, need_labels, every_n)
    return {name: value[0] for name, value in parsed.items()}


def parse_records(
    serialized: tf.Tensor,
    schema: DataSchema,
    need_labels: bool,
    every_n: int = 1,
) -> dict[str, tf.Tensor]:
    """Parses and checks a batch of records.

    Args:
      serialized: `[batch]` strings, SequenceExamples or Examples.
      schema: The records' layout.
      need_labels: Whether a record without labels is bad.
      every_n: Only the frames 0, n, 2n ... are decoded.

    Returns:
      Dict of `reason` int32 `[batch]` (0 if good), `id` string `[batch]`,
      `labels` bool `[batch, num_classes]` and, at frame level, `frames` uint8
      `[batch, selected frames, features]`, zeros beyond the last, and
      `num_frames` int32 `[batch]`; at video level `features` float32
      `[batch, features]`.
    """
    context = {
        schema.id_key: tf.io.FixedLenFeature([], tf.string, default_value=""),
        schema.labels_key: tf.io.VarLenFeature(tf.int64),
    }
    if schema.frame_features:
        context, features, num_frames, reason = parse_frame_lists(
            serialized, schema, context
        )
        contents = _select_frames(features, num_frames, schema, every_n)
    else:
        context, contents, reason = _parse_features(serialized, schema, context)
    video_id = context[schema.id_key]
    labels, num_labels, outside = _to_multi_hot(
        context[schema.labels_key], schema.num_classes
    )
    reason = first_reason(
        [
            (tf.equal(video_id, ""), NO_ID),
            (need_labels & tf.equal(num_labels, 0), NO_LABELS),
            (outside, LABEL_OUTSIDE_CLASSES),
        ],
        reason,
    )
    return contents | {"reason": reason, "id": video_id, "labels": labels}


def parse_frame_lists(
    serialized: tf.Tensor,
    schema: DataSchema,
    context_features: dict[str, Any],
) -> tuple[dict[str, tf.Tensor], list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Parses SequenceExamples and checks their lists of frames.

    Args:
      serialized: `[batch]` strings.
      schema: The records' layout.
      context_features: What to parse of the context.

    Returns:
      What `context_features` name of the context, by key; for each feature a
      string `[batch, frames]`, empty beyond a video's last; the number of
      frames int32 `[batch]`; the reason codes `[batch]`.
    """
    context, lists, lengths = tf.io.parse_sequence_example(
        serialized,
        context_features=context_features,
        sequence_features={
            name: tf.io.FixedLenSequenceFeature(
                [], tf.string, allow_missing=True
            )
            for name in schema.feature_names
        },
    )
    features = [lists[name] for name in schema.feature_names]
    counts = tf.stack(
        [tf.cast(lengths[name], tf.int32) for name in schema.feature_names],
        axis=1,
    )
    wrong_width = tf.zeros(tf.shape(serialized), tf.bool)
    for index, feature in enumerate(features):
        real = tf.sequence_mask(counts[:, index], tf.shape(feature)[1])
        wrong = tf.strings.length(feature) != schema.feature_sizes[index]
        wrong_width |= tf.reduce_any(real & wrong, axis=1)
    reason = first_reason(
        [
            (tf.reduce_all(counts == 0, axis=1), NO_FRAMES),
            (tf.reduce_any(counts == 0, axis=1), MISSING_FEATURE),
            (tf.reduce_any(counts != counts[:, :1], axis=1), LENGTHS_DIFFER),
            (wrong_width, WRONG_WIDTH),
        ],
        tf.fill(tf.shape(serialized), GOOD),
    )
    return context, features, counts[:, 0], reason


def _select_frames(features, num_frames, schema, every_n):
    """Returns the `frames` and `num_frames` that are kept."""
    most = schema.max_frames
    # Selected while they are strings, so that the others are not decoded. A
    # slice copies its strings: only what is too long is cut.
    features = [
        tf.cond(
            tf.shape(feature)[1] > most,
            lambda feature=feature: feature[:, :most],
            lambda feature=feature: feature,
        )
        for feature in features
    ]
    num_frames = tf.minimum(num_frames, most)
    kept = [
        select_every_n({"frames": each, "num_frames": num_frames}, every_n)
        for each in features
    ]
    width = num_selected(most, every_n)
    frames = decode_frames([each["frames"] for each in kept], schema, width)
    return {"frames": frames, "num_frames": kept[0]["num_frames"]}


def decode_frames(
    features: list[tf.Tensor], schema: DataSchema, num_frames: int
) -> tf.Tensor:
    """Decodes frames.

    Args:
      features: For each feature a string `[batch, frames]`; a string of
        another width than the schema's is cut or filled up with zeros.
      schema: The widths.
      num_frames: Frames of the result, as many as are given or more.

    Returns:
      uint8 `[batch, num_frames, features]`, zeros beyond those given.
    """
    most = tf.reduce_max([tf.shape(feature)[1] for feature in features])
    decoded = []
    for feature, size in zip(features, schema.feature_sizes, strict=True):
        values = tf.io.decode_raw(feature, tf.uint8, fixed_length=size)
        # The shape is stated for want of frames, of which none is decoded.
        values = tf.reshape(
            values, tf.concat([tf.shape(feature), [size]], axis=0)
        )
        decoded.append(_pad_frames(values, most))
    return tf.ensure_shape(
        _pad_frames(tf.concat(decoded, axis=-1), num_frames),
        [None, num_frames, schema.num_features],
    )


def _pad_frames(values, num_frames):
    """Adds zeros to `[batch, frames, dim]`; copies only if it has to."""
    missing = num_frames - tf.shape(values)[1]
    return tf.cond(
        missing > 0,
        lambda: tf.pad(values, [[0, 0], [0, missing], [0, 0]]),
        lambda: values,
    )


def _parse_features(serialized, schema, context_features):
    """Returns the parsed context, the features and their reason codes."""
    parsed = tf.io.parse_example(
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
    reason = first_reason(
        [
            (tf.reduce_any(widths == 0, axis=1), MISSING_FEATURE),
            (
                tf.reduce_any(widths != schema.feature_sizes, axis=1),
                WRONG_WIDTH,
            ),
            (~finite, NOT_FINITE),
        ],
        tf.fill(tf.shape(serialized), GOOD),
    )
    return parsed, {"features": features}, reason


def first_reason(
    checks: list[tuple[tf.Tensor, Any]], otherwise: tf.Tensor
) -> tf.Tensor:
    """Returns the code of the first check that failed, or `otherwise`.

    Args:
      checks: Pairs of whether a check failed, bools, and its code.
      otherwise: The code if none did.
    """
    reason = otherwise
    for failed, code in reversed(checks):
        reason = tf.where(failed, code, reason)
    return reason


def _to_multi_hot(labels, num_classes):
    """Returns the labels as bools, their number, whether one is no class."""
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

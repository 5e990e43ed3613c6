"""One serialized record to the tensors of one video, inside the graph.

Nothing here raises for a bad record: it gets a reason code and empty values,
and `distill.data.bad_records` tells what is wrong with it. A record that is
no message of the expected kind at all makes TensorFlow's parser raise.
"""

from typing import Any

import tensorflow as tf

from distill.data.schema import DataSchema

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
    serialized: tf.Tensor, schema: DataSchema, need_labels: bool
) -> dict[str, tf.Tensor]:
    """Parses and checks one record.

    Args:
      serialized: Scalar string, a SequenceExample or Example.
      schema: The record's layout.
      need_labels: Whether a record without labels is bad.

    Returns:
      Dict of `reason` (0 if good), `id` string, `labels` bool
      `[num_classes]` and, at frame level, `frames` uint8
      `[max_frames, features]`, zeros beyond the last, and `num_frames` int32;
      at video level `features` float32 `[features]`.
    """
    context = {
        schema.id_key: tf.io.FixedLenFeature([], tf.string, default_value=""),
        schema.labels_key: tf.io.VarLenFeature(tf.int64),
    }
    if schema.frame_features:
        context, contents, reason = _parse_frames(serialized, schema, context)
    else:
        context, contents, reason = _parse_features(serialized, schema, context)
    labels = tf.sparse.to_dense(context[schema.labels_key])
    outside = tf.reduce_any((labels < 0) | (labels >= schema.num_classes))
    video_id = context[schema.id_key]
    reason = first_reason(
        [
            (tf.equal(video_id, ""), NO_ID),
            (need_labels & tf.equal(tf.size(labels), 0), NO_LABELS),
            (outside, LABEL_OUTSIDE_CLASSES),
        ],
        reason,
    )
    return contents | {
        "reason": reason,
        "id": video_id,
        "labels": _to_multi_hot(labels, outside, schema.num_classes),
    }


def _parse_frames(serialized, schema, context_features):
    """Returns the parsed context, the frames and their reason code."""
    context, features, reason = parse_frame_lists(
        serialized, schema, context_features
    )
    # A bad record is decoded as a video without frames: decoding would raise.
    num_frames = tf.where(
        tf.equal(reason, GOOD),
        tf.minimum(tf.size(features[0]), schema.max_frames),
        0,
    )
    frames = decode_frames([f[:num_frames] for f in features], schema)
    frames = tf.pad(frames, [[0, schema.max_frames - num_frames], [0, 0]])
    frames = tf.ensure_shape(frames, [schema.max_frames, schema.num_features])
    return context, {"frames": frames, "num_frames": num_frames}, reason


def parse_frame_lists(
    serialized: tf.Tensor,
    schema: DataSchema,
    context_features: dict[str, Any],
) -> tuple[dict[str, tf.Tensor], list[tf.Tensor], tf.Tensor]:
    """Parses a SequenceExample and checks its lists of frames.

    Returns:
      What `context_features` name of the context, by key; for each feature a
      string `[frames]`; the reason code.
    """
    context, lists = tf.io.parse_single_sequence_example(
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
    counts = tf.stack([tf.size(feature) for feature in features])
    wrong_width = tf.reduce_any(
        [
            tf.reduce_any(tf.strings.length(feature) != size)
            for feature, size in zip(
                features, schema.feature_sizes, strict=True
            )
        ]
    )
    reason = first_reason(
        [
            (tf.reduce_all(counts == 0), NO_FRAMES),
            (tf.reduce_any(counts == 0), MISSING_FEATURE),
            (tf.reduce_any(counts != counts[0]), LENGTHS_DIFFER),
            (wrong_width, WRONG_WIDTH),
        ],
        tf.constant(GOOD),
    )
    return context, features, reason


def decode_frames(features: list[tf.Tensor], schema: DataSchema) -> tf.Tensor:
    """Decodes frames of the right width.

    Args:
      features: For each feature a string of one shape `[...]`.
      schema: The widths.

    Returns:
      uint8 `[..., features]`.
    """
    # The shape is stated for want of frames, of which no width is decoded.
    decoded = [
        tf.reshape(
            tf.io.decode_raw(feature, tf.uint8),
            tf.concat([tf.shape(feature), [size]], axis=0),
        )
        for feature, size in zip(features, schema.feature_sizes, strict=True)
    ]
    return tf.concat(decoded, axis=-1)


def _parse_features(serialized, schema, context_features):
    """Returns the parsed context, the features and their reason code."""
    parsed = tf.io.parse_single_example(
        serialized,
        context_features
        | {
            name: tf.io.FixedLenSequenceFeature(
                [], tf.float32, allow_missing=True
            )
            for name in schema.feature_names
        },
    )
    values = [parsed[name] for name in schema.feature_names]
    widths = tf.stack([tf.size(value) for value in values])
    reason = first_reason(
        [
            (tf.reduce_any(widths == 0), MISSING_FEATURE),
            (tf.reduce_any(widths != schema.feature_sizes), WRONG_WIDTH),
        ],
        tf.constant(GOOD),
    )
    features = tf.concat(values, axis=0)
    reason = first_reason(
        [(~tf.reduce_all(tf.math.is_finite(features)), NOT_FINITE)], reason
    )
    good = tf.equal(reason, GOOD)
    features = tf.cond(
        good, lambda: features, lambda: tf.zeros([schema.num_features])
    )
    features = tf.ensure_shape(features, [schema.num_features])
    return parsed, {"features": features}, reason


def first_reason(
    checks: list[tuple[tf.Tensor, Any]], otherwise: tf.Tensor
) -> tf.Tensor:
    """Returns the code of the first check that failed, or `otherwise`.

    Args:
      checks: Pairs of whether a check failed, a scalar bool, and its code.
      otherwise: The code if none did.
    """
    reason = otherwise
    for failed, code in reversed(checks):
        reason = tf.where(failed, code, reason)
    return reason


def _to_multi_hot(labels, outside, num_classes):
    labels = labels[: tf.where(outside, 0, tf.size(labels))]
    hot = tf.scatter_nd(
        labels[:, None], tf.ones_like(labels, tf.int32), [num_classes]
    )
    return hot > 0

"""Parses serialised records to batches of videos, inside the graph.

A bad record raises nothing: it gets a reason code, its values are undefined,
and `distill.data.bad_records` describes what is wrong with it. Only a record
that is not a message of the expected kind makes TensorFlow's parser raise.
"""

from typing import Any

import tensorflow as tf

from distill.data.frame_draws import EVALUATION_KEY, draw_for_videos
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.models.frame_selection import frame_positions, select_frames
from distill.models.preprocessing import dequantize
from distill.settings.schema import DataSchema

GOOD = 0
# A record's reason code is its reason's place in here.
REASONS = (
    "",
    "no id",
    "no labels",
    "label outside the classes",
    "no frames",
    "missing feature",
    "feature lists of different lengths",
    "wrong width",
    "value not finite",
    "no rated segments",
    "segment lists of different lengths",
    "segment score outside 0 to 1",
    "segment of another length",
    "segment outside the video",
    "frames of another budget",
    "fewer frames than min_frames",
)
# The only reason that is no fault of a record.
TOO_SHORT = REASONS.index("fewer frames than min_frames")

# Key of the budget in a record that holds the frames of a budget alone.
BUDGET_KEY = "frame_budget"

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
    reason = first_reason(
        [
            (tf.equal(video_id, ""), "no id"),
            (need_labels & tf.equal(num_labels, 0), "no labels"),
            (outside, "label outside the classes"),
        ],
        reason,
    )
    return contents | {"reason": reason, "id": video_id, "labels": labels}


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
    context, features, num_frames, reason = parse_frame_lists(
        serialized, schema, context_features | {BUDGET_KEY: held}
    )
    most = schema.max_frames
    draws = draw_for_videos(
        context[schema.id_key], budget.num_draws(most), draw_key
    )
    held = context[BUDGET_KEY]
    is_selected = _is_selected(held, budget, draw_key)
    is_short = num_frames < min_frames
    num_frames = tf.minimum(num_frames, most)
    if budget.keeps_all or budget.averages:
        # A slice copies its strings, so videos that fit are not sliced.
        features = [
            tf.cond(
                tf.shape(feature)[1] > most,
                lambda feature=feature: feature[:, :most],
                lambda feature=feature: feature,
            )
            for feature in features
        ]
        frames = decode_frames(features, schema, most)
        # A record that holds a budget's means keeps them: a part has one.
        contents = select_frames(
            {"frames": frames, "num_frames": num_frames, "draws": draws},
            budget,
            schema.quantisation_range,
        )
    else:
        # Bytes are selected while they are strings: only the kept are decoded.
        width = budget.width(most)
        positions, kept = frame_positions(num_frames, budget, most, draws)
        ranks = tf.range(width)[None]
        if positions is None:
            positions = budget.every_n * ranks
        positions = tf.where(is_selected[:, None], ranks, positions)
        kept = tf.where(is_selected, tf.minimum(num_frames, width), kept)
        features = [_take(feature, positions, kept) for feature in features]
        frames = decode_frames(features, schema, width)
        contents = {"frames": frames, "num_frames": kept}
    # The length of its video is not known.
    is_cut = (held != "") & (min_frames > 1)
    is_other = ((held != "") & ~is_selected) | is_cut
    reason = first_reason([(is_other, "frames of another budget")], reason)
    reason = tf.where((reason == GOOD) & is_short, TOO_SHORT, reason)
    kept = {name: contents[name] for name in ("frames", "num_frames")}
    return context, kept, reason


def _is_selected(
    held: tf.Tensor, budget: FrameBudget, draw_key: str
) -> tf.Tensor:
    """Returns whether records of the budgets `held` hold this one's frames."""
    # No record can hold frames that are drawn anew in every epoch.
    is_fixed = budget.is_fixed or (
        draw_key == EVALUATION_KEY and budget == budget.at_evaluation()
    )
    return (held == budget.name) & is_fixed


def parse_frame_lists(
    serialized: tf.Tensor,
    schema: DataSchema,
    context_features: dict[str, Any],
) -> tuple[dict[str, tf.Tensor], list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Parses SequenceExamples `[batch]` and checks their lists of frames.

    Returns:
      The parsed context by key; for each feature a string `[batch, frames]`,
      empty beyond a video's last frame, or of floats a float32 `[batch,
      frames, size]`, zeros there; the number of frames int32 `[batch]`; the
      reason codes `[batch]`.
    """
    strings = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    floats = tf.io.RaggedFeature(tf.float32)
    context, lists, lengths = tf.io.parse_sequence_example(
        serialized,
        context_features=context_features,
        sequence_features={
            name: floats if schema.holds_floats(name) else strings
            for name in schema.feature_names
        },
    )
    features, all_counts = [], []
    wrong_width = tf.zeros(tf.shape(serialized), tf.bool)
    not_finite = wrong_width
    for name, size in zip(
        schema.feature_names, schema.feature_sizes, strict=True
    ):
        feature = lists[name]
        if schema.holds_floats(name):
            count = feature.row_lengths(axis=1)
            width = feature.row_lengths(axis=2).to_tensor(default_value=size)
            feature = feature.to_tensor(shape=[None, None, size])
            wrong = width != size
            not_finite |= ~tf.reduce_all(
                tf.math.is_finite(feature), axis=[1, 2]
            )
        else:
            count = lengths[name]
            real = tf.sequence_mask(count, tf.shape(feature)[1])
            wrong = real & (tf.strings.length(feature) != size)
        wrong_width |= tf.reduce_any(wrong, axis=1)
        features.append(feature)
        all_counts.append(tf.cast(count, tf.int32))
    counts = tf.stack(all_counts, axis=1)
    reason = first_reason(
        [
            (tf.reduce_all(counts == 0, axis=1), "no frames"),
            (tf.reduce_any(counts == 0, axis=1), "missing feature"),
            (
                tf.reduce_any(counts != counts[:, :1], axis=1),
                "feature lists of different lengths",
            ),
            (wrong_width, "wrong width"),
            (not_finite, "value not finite"),
        ],
        tf.fill(tf.shape(serialized), GOOD),
    )
    return context, features, counts[:, 0], reason


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


def _take(
    feature: tf.Tensor, positions: tf.Tensor, kept: tf.Tensor
) -> tf.Tensor:
    """Returns the frames at `[batch, count]` positions, empty beyond kept."""
    # A bad record's list may be shorter, or empty.
    shape = tf.shape(feature)
    one_frame = tf.concat([shape[:1], [1], shape[2:]], axis=0)
    feature = tf.cond(
        shape[1] > 0,
        lambda: feature,
        lambda: tf.zeros(one_frame, feature.dtype),
    )
    positions = tf.minimum(positions, tf.shape(feature)[1] - 1)
    taken = tf.gather(feature, positions, batch_dims=1)
    real = tf.range(tf.shape(positions)[1])[None] < kept[:, None]
    if taken.shape.rank > 2:
        real = real[..., None]
    return tf.where(real, taken, tf.zeros([], feature.dtype))


def decode_frames(
    features: list[tf.Tensor], schema: DataSchema, num_frames: int
) -> tf.Tensor:
    """Decodes frames, for each feature a string `[batch, frames]`.

    A string of another width than the schema's is cut or filled up with zeros.
    Float frames `[batch, frames, size]` are only joined and padded; bytes
    beside them become the numbers that they stand for.

    Returns:
      The schema's `frame_type` `[batch, num_frames, features]`, zeros beyond
      those given.
    """
    most = tf.reduce_max([tf.shape(feature)[1] for feature in features])
    decoded = []
    for name, feature, size in zip(
        schema.feature_names, features, schema.feature_sizes, strict=True
    ):
        values = feature
        if not schema.holds_floats(name):
            values = tf.io.decode_raw(feature, tf.uint8, fixed_length=size)
            # Without any frame the decoded shape would be unknown.
            values = tf.reshape(
                values, tf.concat([tf.shape(feature), [size]], axis=0)
            )
            if schema.frame_type != "uint8":
                is_given = tf.strings.length(feature)[..., None] > 0
                numbers = dequantize(values, schema.quantisation_range)
                values = tf.where(is_given, numbers, 0.0)
        decoded.append(_pad_frames(values, most))
    return tf.ensure_shape(
        _pad_frames(tf.concat(decoded, axis=-1), num_frames),
        [None, num_frames, schema.num_features],
    )


def _pad_frames(values: tf.Tensor, num_frames: tf.Tensor) -> tf.Tensor:
    """Adds zeros to `[batch, frames, dim]`; copies only if it has to."""
    missing = num_frames - tf.shape(values)[1]
    return tf.cond(
        missing > 0,
        lambda: tf.pad(values, [[0, 0], [0, missing], [0, 0]]),
        lambda: values,
    )


def first_reason(
    checks: list[tuple[tf.Tensor, str]], otherwise: tf.Tensor
) -> tf.Tensor:
    """Returns the code of the first check that failed, else `otherwise`.

    A check is a pair of bools, true where it failed, and one of `REASONS`.
    """
    code = otherwise
    for failed, reason in reversed(checks):
        code = tf.where(failed, REASONS.index(reason), code)
    return code


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

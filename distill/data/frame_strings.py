"""Frames as the strings of a record: selected first, then decoded."""

import tensorflow as tf

from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import frame_positions
from distill.settings.schema import DataSchema


def select_and_decode(
    features: list[tf.Tensor],
    num_frames: tf.Tensor,
    schema: DataSchema,
    budget: FrameBudget,
    draws: tf.Tensor,
    is_selected: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Returns the frames of a budget, decoded.

    Args:
      features: For each feature a string `[batch, frames]`.
      num_frames: int32 `[batch]`.
      schema: The widths and the most frames.
      budget: What is kept.
      draws: Random numbers for it, `[batch, budget.num_draws]`.
      is_selected: Bools `[batch]`, of videos that hold these frames alone.

    Returns:
      Dict of `frames` uint8 `[batch, budget's width, features]`, zeros beyond
      the last, and `num_frames` int32 `[batch]`.
    """
    most = schema.max_frames
    # Selected while they are strings, so that the others are not decoded.
    num_frames = tf.minimum(num_frames, most)
    if budget.keeps_all:
        # A slice copies its strings: only what is too long is cut.
        features = [
            tf.cond(
                tf.shape(feature)[1] > most,
                lambda feature=feature: feature[:, :most],
                lambda feature=feature: feature,
            )
            for feature in features
        ]
        frames = decode_frames(features, schema, most)
        return {"frames": frames, "num_frames": num_frames}
    positions, kept = frame_positions(num_frames, budget, most, draws)
    width = budget.width(most)
    ranks = tf.range(width)[None]
    if positions is None:
        positions = budget.every_n * ranks
    positions = tf.where(is_selected[:, None], ranks, positions)
    kept = tf.where(is_selected, tf.minimum(num_frames, width), kept)
    features = [_take(feature, positions, kept) for feature in features]
    frames = decode_frames(features, schema, width)
    return {"frames": frames, "num_frames": kept}


def _take(strings, positions, kept):
    """Returns the strings at `[batch, count]` positions, empty beyond kept."""
    # A bad record's list may be shorter; without frames there is none.
    strings = tf.cond(
        tf.shape(strings)[1] > 0,
        lambda: strings,
        lambda: tf.fill([tf.shape(strings)[0], 1], ""),
    )
    positions = tf.minimum(positions, tf.shape(strings)[1] - 1)
    taken = tf.gather(strings, positions, batch_dims=1)
    real = tf.range(tf.shape(positions)[1])[None] < kept[:, None]
    return tf.where(real, taken, "")


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

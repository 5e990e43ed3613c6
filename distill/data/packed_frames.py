"""Frames of packed records: one string a feature and video.

It holds the feature's frames one after another, a frame of bytes as it is, a
frame of floats as little-endian float32. It lies in the record's context under
the feature's name; other records have a list of frames. A record is packed if
one of these strings holds a byte.
"""

from typing import Any

import tensorflow as tf

from distill.data.reasons import frames_reason
from distill.models.preprocessing import dequantize
from distill.settings.schema import DataSchema


def packed_keys(
    schema: DataSchema, context_features: dict[str, Any]
) -> tuple[str, ...]:
    """Returns the keys of packed frames in a context of other features.

    There are none if a feature has the name of another key, since no packed
    record can hold both.
    """
    names = schema.feature_names
    return () if context_features.keys() & set(names) else names


def are_packed(lengths: tf.Tensor) -> tf.Tensor:
    """Returns whether records with strings of these lengths are packed."""
    return tf.reduce_any(lengths > 0, axis=-1)


def check_lengths(
    lengths: tf.Tensor, not_finite: tf.Tensor, schema: DataSchema
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the number of frames and the reason code of packed records.

    Args:
      lengths: int32 `[batch, features]`, bytes of the strings.
      not_finite: bool `[batch]`, whether a float is not finite.
      schema: The records' layout.

    Returns:
      Two int32 `[batch]`.
    """
    widths = tf.constant(
        [frame_bytes(schema, name) for name in schema.feature_names]
    )
    counts = -(-lengths // widths)
    wrong_width = tf.reduce_any(lengths % widths != 0, axis=1)
    return counts[:, 0], frames_reason(counts, wrong_width, not_finite)


def frame_bytes(schema: DataSchema, name: str) -> int:
    """Returns the bytes of a packed frame of a feature."""
    size = schema.feature_sizes[schema.feature_names.index(name)]
    return 4 * size if schema.holds_floats(name) else size


class PackedFrames:
    """The decoded frames of a batch of packed records.

    Those of a bad record are undefined.

    Args:
      values: A string `[batch]` for each feature; empty where it is missing.
      schema: The records' layout.
      max_frames: The most frames that are needed; None for all.

    Attributes:
      lengths: int32 `[batch, features]`, bytes of each string.
      not_finite: bool `[batch]`, whether a float is not finite.
    """

    def __init__(
        self,
        values: list[tf.Tensor],
        schema: DataSchema,
        max_frames: int | None = None,
    ):
        self._schema = schema
        self.lengths = tf.stack(
            [tf.strings.length(value) for value in values], axis=1
        )
        self.not_finite = tf.zeros(tf.shape(self.lengths)[:1], tf.bool)
        self._most: Any = max_frames
        if max_frames is None or schema.frame_type != "uint8":
            counts, _ = check_lengths(self.lengths, self.not_finite, schema)
            self._counts = counts
            self._longest = tf.maximum(tf.reduce_max(self.lengths), 1)
            self._most = max_frames or tf.maximum(tf.reduce_max(counts), 1)
        self._features = [
            self._decode(name, size, value)
            for name, size, value in zip(
                schema.feature_names, schema.feature_sizes, values, strict=True
            )
        ]

    def _decode(self, name: str, size: int, value: tf.Tensor) -> tf.Tensor:
        """Returns the schema's frame type `[batch, most, size]`."""
        most, schema = self._most, self._schema
        batch = value.shape[0] or tf.shape(value)[0]
        if schema.holds_floats(name):
            # Every float is checked, also those of frames that are cut.
            count = tf.maximum(self._longest // (4 * size), most)
            floats = tf.io.decode_raw(
                value, tf.float32, fixed_length=4 * count * size
            )
            self.not_finite |= ~tf.reduce_all(tf.math.is_finite(floats), axis=1)
            return tf.reshape(floats, [batch, count, size])[:, :most]
        numbers = tf.io.decode_raw(value, tf.uint8, fixed_length=most * size)
        numbers = tf.reshape(numbers, [batch, most, size])
        if schema.frame_type == "uint8":
            return numbers
        real = tf.sequence_mask(self._counts, most)[..., None]
        floats = dequantize(numbers, schema.quantisation_range)
        return tf.where(real, floats, 0.0)

    def whole(self) -> tf.Tensor:
        """Returns `[batch, max_frames, features]`, zeros behind the last."""
        shape = [None, self._schema.max_frames, self._schema.num_features]
        return tf.ensure_shape(tf.concat(self._features, axis=-1), shape)

    def take(self, positions: tf.Tensor) -> tf.Tensor:
        """Returns the frames at positions int32 `[batch, count]`."""
        positions = tf.minimum(positions, self._most - 1)
        return tf.concat(
            [
                tf.gather(feature, positions, batch_dims=1)
                for feature in self._features
            ],
            axis=-1,
        )

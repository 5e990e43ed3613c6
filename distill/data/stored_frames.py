"""Frames of a batch of records, as lists of frames or packed."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from distill.data.packed_frames import (
    PackedFrames,
    are_packed,
    check_lengths,
    packed_keys,
)
from distill.data.reasons import frames_reason
from distill.models.preprocessing import dequantize
from distill.settings.schema import DataSchema


class StoredFrames:
    """The frames of a batch of SequenceExamples, each of either form.

    Those of a bad record are undefined.

    Args:
      serialized: Strings `[batch]`.
      schema: The records' layout.
      context_features: What else is read of the context.

    Attributes:
      context: The parsed context by key.
      num_frames: int32 `[batch]`.
      reason: int32 `[batch]`, the reason codes of the frames.
    """

    def __init__(
        self,
        serialized: tf.Tensor,
        schema: DataSchema,
        context_features: dict[str, Any],
    ):
        self._schema = schema
        keys = packed_keys(schema, context_features)
        string = tf.io.FixedLenFeature([], tf.string, default_value="")
        self.context, lists, lengths = tf.io.parse_sequence_example(
            serialized,
            context_features=context_features | dict.fromkeys(keys, string),
            sequence_features=_list_features(schema),
        )
        self._lists = _FrameLists(lists, lengths, schema)
        self._values = [self.context.pop(key) for key in keys]
        if keys:
            sizes = [tf.strings.length(value) for value in self._values]
            self._are_packed = are_packed(tf.stack(sizes, axis=1))
        else:
            self._are_packed = tf.zeros(tf.shape(serialized), tf.bool)
        self.num_frames, self.reason = self._choose(
            lambda lists: [lists.num_frames, lists.reason],
            lambda packed: [
                *check_lengths(packed.lengths, packed.not_finite, schema)
            ],
        )

    def whole(self) -> tf.Tensor:
        """Returns the first `max_frames` frames of each video.

        They are the schema's `frame_type` `[batch, max_frames, features]`,
        zeros beyond a video's last.
        """
        (frames,) = self._choose(
            lambda lists: [lists.whole()], lambda packed: [packed.whole()]
        )
        schema = self._schema
        return tf.ensure_shape(
            frames, [None, schema.max_frames, schema.num_features]
        )

    def take(self, positions: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """Returns some frames of each video.

        Args:
          positions: int32 `[batch, count]`.
          kept: int32 `[batch]`, how many of them are wanted.

        Returns:
          The schema's `frame_type` `[batch, count, features]`, zeros at or
          beyond `kept`.
        """
        real = tf.sequence_mask(kept, tf.shape(positions)[1])[..., None]

        def take_packed(packed):
            frames = packed.take(positions)
            return [tf.where(real, frames, tf.zeros([], frames.dtype))]

        (frames,) = self._choose(
            lambda lists: [lists.take(positions, kept)], take_packed
        )
        return tf.ensure_shape(
            frames, [None, positions.shape[1], self._schema.num_features]
        )

    def _choose(
        self,
        of_lists: Callable[["_FrameLists"], list[tf.Tensor]],
        of_packed: Callable[[PackedFrames], list[tf.Tensor]],
    ) -> list[tf.Tensor]:
        """Returns values of each record's form; computes no others."""
        if not self._values:
            return of_lists(self._lists)

        def compute_packed():
            schema = self._schema
            # A video of segments, which is parsed alone, is needed whole.
            most = None if schema.segment_labels else schema.max_frames
            return of_packed(PackedFrames(self._values, schema, most))

        # Called, not inlined: a branch that is not taken costs nothing.
        @tf.function(experimental_attributes={"_noinline": True})
        def compute_both():
            chosen = []
            for one, other in zip(
                compute_packed(), of_lists(self._lists), strict=True
            ):
                shape = [-1] + [1] * (one.shape.rank - 1)
                packed = tf.reshape(self._are_packed, shape)
                chosen.append(tf.where(packed, one, other))
            return chosen

        return tf.cond(
            tf.reduce_any(self._are_packed),
            compute_both,
            lambda: of_lists(self._lists),
        )


def _list_features(schema: DataSchema) -> dict[str, Any]:
    """Returns what is parsed of the lists of frames."""
    strings = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    floats = tf.io.RaggedFeature(tf.float32)
    return {
        name: floats if schema.holds_floats(name) else strings
        for name in schema.feature_names
    }


class _FrameLists:
    """The lists of frames of a batch of records.

    For each feature they are a string `[batch, frames]`, empty beyond a
    video's last frame, or of floats a float32 `[batch, frames, size]`, zeros
    there.

    Args:
      lists: The parsed lists by name.
      lengths: The length of each list of strings.
      schema: The records' layout.

    Attributes:
      num_frames: int32 `[batch]`.
      reason: int32 `[batch]`, the reason codes.
    """

    def __init__(
        self,
        lists: dict[str, Any],
        lengths: dict[str, tf.Tensor],
        schema: DataSchema,
    ):
        self._schema = schema
        self._features, all_counts = [], []
        wrong_width = not_finite = tf.constant(False)
        for name, size in zip(
            schema.feature_names, schema.feature_sizes, strict=True
        ):
            feature = lists[name]
            if schema.holds_floats(name):
                count = feature.row_lengths(axis=1)
                width = feature.row_lengths(axis=2).to_tensor(
                    default_value=size
                )
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
            self._features.append(feature)
            all_counts.append(tf.cast(count, tf.int32))
        counts = tf.stack(all_counts, axis=1)
        self.num_frames = counts[:, 0]
        self.reason = frames_reason(counts, wrong_width, not_finite)

    def whole(self) -> tf.Tensor:
        """Returns the first frames, as `StoredFrames.whole`."""
        most = self._schema.max_frames
        # A slice copies its strings, so videos that fit are not sliced.
        features = [
            tf.cond(
                tf.shape(feature)[1] > most,
                lambda feature=feature: feature[:, :most],
                lambda feature=feature: feature,
            )
            for feature in self._features
        ]
        return _pad_frames(_decode_frames(features, self._schema), most)

    def take(self, positions: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """Returns some frames, as `StoredFrames.take`."""
        # Bytes are selected while they are strings: only the kept are decoded.
        features = [_take(each, positions, kept) for each in self._features]
        return _decode_frames(features, self._schema)


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


def _decode_frames(features: list[tf.Tensor], schema: DataSchema) -> tf.Tensor:
    """Decodes frames, for each feature a string `[batch, frames]`.

    A string of another width than the schema's is cut or filled up with zeros.
    Float frames `[batch, frames, size]` are only joined and padded; bytes
    beside them become the numbers that they stand for.

    Returns:
      The schema's `frame_type` `[batch, frames, features]`, zeros beyond
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
    return tf.concat(decoded, axis=-1)


def _pad_frames(values: tf.Tensor, num_frames: tf.Tensor) -> tf.Tensor:
    """Adds zeros to `[batch, frames, dim]`; copies only if it has to."""
    missing = num_frames - tf.shape(values)[1]
    return tf.cond(
        missing > 0,
        lambda: tf.pad(values, [[0, 0], [0, missing], [0, 0]]),
        lambda: values,
    )

"""A plain reader: one record at a time, each into float32."""

import tensorflow as tf

from distill.models.preprocessing import dequantize
from distill.settings.schema import DataSchema


def read_plainly(
    files: list[str], schema: DataSchema, batch_size: int
) -> tf.data.Dataset:
    """Returns batches of videos, parsed and dequantised one by one.

    Args:
      files: Frame-level TFRecord files.
      schema: Their layout.
      batch_size: Videos a batch.

    Returns:
      A dataset of dicts: `id` `[batch]`, `labels` bool `[batch, classes]`,
      `frames` float32 `[batch, max_frames, features]`, zeros beyond the last,
      and `num_frames` int32 `[batch]`.
    """

    def parse(serialized):
        context, lists = tf.io.parse_single_sequence_example(
            serialized,
            context_features={
                schema.id_key: tf.io.FixedLenFeature([], tf.string),
                schema.labels_key: tf.io.VarLenFeature(tf.int64),
            },
            sequence_features={
                name: tf.io.FixedLenSequenceFeature([], tf.string)
                for name in schema.feature_names
            },
        )
        labels = tf.sparse.to_indicator(
            tf.sparse.reorder(context[schema.labels_key]), schema.num_classes
        )
        decoded = [
            tf.reshape(
                dequantize(tf.io.decode_raw(lists[name], tf.uint8)), [-1, size]
            )
            for name, size in zip(
                schema.feature_names, schema.feature_sizes, strict=True
            )
        ]
        frames = tf.concat(decoded, axis=1)[: schema.max_frames]
        num_frames = tf.shape(frames)[0]
        missing = schema.max_frames - num_frames
        frames = tf.pad(frames, [[0, missing], [0, 0]])
        return {
            "id": context[schema.id_key],
            "labels": labels,
            "frames": tf.ensure_shape(
                frames, [schema.max_frames, schema.num_features]
            ),
            "num_frames": num_frames,
        }

    dataset = tf.data.TFRecordDataset(files)
    return dataset.map(parse).batch(batch_size).prefetch(1)

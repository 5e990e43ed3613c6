"""The bytes of records, in the order of their files."""

import tensorflow as tf

from distill.data.record_lengths import limit_records

_READERS = 8


def read_raw_records(
    files: list[str], file_indexes: tf.data.Dataset, skip_damaged: bool
) -> tf.data.Dataset:
    """Returns the records of files, several of which are read by turns.

    Args:
      files: Names of TFRecord files.
      file_indexes: The order in which they are begun.
      skip_damaged: Whether a damaged file ends at its damage; else it raises.

    Returns:
      A dataset of dicts of `file_index`, `record_number` in the file, from 0,
      and `serialized`, a string.
    """
    names = tf.constant(files)

    def open_file(index):
        with tf.io.gfile.GFile(files[int(index)], "rb") as file:
            file.read(1)
        return index

    def read_file(index):
        if skip_damaged:
            # What cannot be opened would be tried, and ignored, for ever.
            index = tf.py_function(open_file, [index], tf.int64)
            index.set_shape([])
        name = tf.gather(names, index)
        dataset = tf.data.TFRecordDataset(name).take(limit_records(name))
        if skip_damaged:
            dataset = dataset.ignore_errors()
        # Zipped: a function called for every record would cost more.
        return tf.data.Dataset.zip(
            {
                "file_index": tf.data.Dataset.from_tensors(index).repeat(),
                "record_number": tf.data.Dataset.counter(),
                "serialized": dataset,
            }
        )

    return file_indexes.interleave(
        read_file,
        cycle_length=min(_READERS, len(files)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def keep_share(records: tf.data.Dataset, share: float) -> tf.data.Dataset:
    """Leaves a share of every file's records, spread evenly over it."""

    def is_kept(record):
        number = tf.cast(record["record_number"], tf.float64)
        return tf.floor((number + 1) * share) > tf.floor(number * share)

    return records.filter(is_kept)

"""Batches of videos of similar length, in an order drawn anew each epoch.

Khomenko et al., "Accelerating recurrent neural network training using sequence
bucketing and multi-GPU data parallelization", DSMP 2016 (arXiv 1708.05604).
"""

import tensorflow as tf

from distill.data.records import Parsed

# Their raw records are held in memory.
BATCHES_SORTED = 16


def bucket_by_length(
    records: tf.data.Dataset, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Orders records so that each batch holds those of similar length.

    The next `BATCHES_SORTED` batches of records are sorted by their bytes,
    most of which are frames, and cut into batches, which come in random
    order. Nothing is parsed.

    Args:
      records: Dicts of scalars with the string `serialized`, in random order.
      batch_size: Records a batch.
      seed: The order of the batches follows from it.

    Returns:
      The same dicts. Every `batch_size` of them, from the first on, are of
      similar length; the last of all may be fewer, of any length.
    """

    def sort(number, window):
        lengths = tf.strings.length(window["serialized"])
        order = order_by_length(lengths, batch_size, (seed, number))

        def pick(place) -> Parsed:
            return {name: value[place] for name, value in window.items()}

        # One by one: a sorted copy of the window would double its memory.
        return tf.data.Dataset.from_tensor_slices(order).map(pick)

    windows = records.batch(BATCHES_SORTED * batch_size)
    return windows.enumerate().flat_map(sort)


def order_by_length(
    lengths: tf.Tensor, batch_size: int, seed: tuple[int | tf.Tensor, ...]
) -> tf.Tensor:
    """Returns the places of records in the order of their batches.

    Args:
      lengths: Ints `[records]`. Records of equal length keep their order.
      batch_size: Records a batch. The rest, of a length drawn at random, is
        the last batch.
      seed: Two integers.

    Returns:
      int32 `[records]`.
    """
    places = tf.argsort(lengths, stable=True)
    num_batches = tf.size(places) // batch_size
    rest = tf.size(places) % batch_size
    draws = tf.random.stateless_uniform(
        [num_batches + 1], tf.cast(tf.stack(seed), tf.int64)
    )
    shorter = tf.cast(draws[-1] * tf.cast(num_batches + 1, tf.float32), "int32")
    start = batch_size * shorter
    end = start + rest
    whole = tf.concat([places[:start], places[end:]], axis=0)
    batches = tf.reshape(whole, [-1, batch_size])
    order = tf.gather(batches, tf.argsort(draws[:-1], stable=True))
    return tf.concat([tf.reshape(order, [-1]), places[start:end]], axis=0)

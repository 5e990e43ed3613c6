"""Random numbers for the selection of frames, tied to the video.

They follow from the video's id and a key alone. So the order of the videos,
the batches, the files and interruptions do not change them.
"""

import tensorflow as tf

# float32 distinguishes so many numbers in [0, 1).
_STEPS = 2**24


def draw_for_videos(ids: tf.Tensor, num_draws: int, key: str) -> tf.Tensor:
    """Returns random numbers for each video.

    Args:
      ids: Strings `[batch]`, or one.
      num_draws: Numbers per video.
      key: Text on which the numbers depend beside the id.

    Returns:
      float32 `[batch, num_draws]`, or `[num_draws]`, in [0, 1).
    """
    num_videos, shape = tf.size(ids), tf.shape(ids)
    if not num_draws:
        return tf.zeros(tf.concat([shape, [0]], axis=0))
    numbers = tf.strings.as_string(tf.range(num_draws))
    texts = tf.strings.join(
        [
            f"{key}/",
            tf.tile(numbers, [num_videos]),
            "/",
            tf.repeat(tf.reshape(ids, [-1]), num_draws),
        ]
    )
    hashes = tf.strings.to_hash_bucket_fast(texts, _STEPS)
    draws = tf.cast(hashes, tf.float32) / _STEPS
    draws = tf.reshape(draws, tf.concat([shape, [num_draws]], axis=0))
    return tf.ensure_shape(draws, [*ids.shape, num_draws])


def epoch_key(seed: int, epoch: int) -> str:
    """Returns the key of a run's epoch, from 0."""
    return f"{seed}/{epoch}"


EVALUATION_KEY = "evaluation"

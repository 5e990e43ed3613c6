"""Mixing each video with another of its batch.

Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
"""

import tensorflow as tf


def draw_mixing_weights(
    num_videos: int, alpha: float, seed: tuple[int, int]
) -> tf.Tensor:
    """Returns the weight of each video itself, `[videos]` from 0.5 to 1.

    `alpha` is the parameter of their symmetric beta distribution; `seed` alone
    decides the draws.
    """
    draws = tf.random.stateless_gamma([2, num_videos], seed, alpha)
    weights = draws[0] / tf.maximum(tf.reduce_sum(draws, axis=0), 1e-12)
    return tf.maximum(weights, 1 - weights)


def mix(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Mixes each video's values with those as far from the batch's other end.

    Args:
      values: Floats `[batch, ...]`.
      weights: Floats `[batch]`, the weight of each video itself.
    """
    own = tf.reshape(weights, [-1] + [1] * (len(values.shape) - 1))
    return own * values + (1 - own) * values[::-1]


def mix_videos(
    inputs: dict[str, tf.Tensor], weights: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Mixes the videos of a batch as `mix` does.

    Args:
      inputs: Preprocessed `frames` `[batch, frames, features]` with
        `num_frames` `[batch]`, or `features` `[batch, features]`.
      weights: Floats `[batch]`, the weight of each video itself.

    Returns:
      The mixed inputs, with as many frames as the longer of the two videos.
    """
    mixed: dict[str, tf.Tensor] = {
        name: mix(inputs[name], weights)
        for name in ("frames", "features")
        if name in inputs
    }
    if "num_frames" in inputs:
        num_frames = inputs["num_frames"]
        mixed["num_frames"] = tf.maximum(num_frames, num_frames[::-1])
    return mixed

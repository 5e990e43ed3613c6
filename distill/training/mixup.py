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


def mix_videos(
    inputs: dict[str, tf.Tensor], labels: tf.Tensor, weights: tf.Tensor
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Mixes each video with the one as far from the batch's other end.

    Args:
      inputs: Preprocessed `frames` `[batch, frames, features]` with
        `num_frames` `[batch]`, or `features` `[batch, features]`. Other
        entries stay.
      labels: Floats `[batch, classes]`.
      weights: Floats `[batch]`, the weight of each video itself.

    Returns:
      The mixed inputs, with as many frames as the longer of the two videos,
      and the mixed labels in [0, 1].
    """

    def mix(values):
        own = tf.reshape(weights, [-1] + [1] * (len(values.shape) - 1))
        return own * values + (1 - own) * values[::-1]

    mixed = dict(inputs)
    for name in ("frames", "features"):
        if name in inputs:
            mixed[name] = mix(inputs[name])
    if "num_frames" in inputs:
        num_frames = inputs["num_frames"]
        mixed["num_frames"] = tf.maximum(num_frames, num_frames[::-1])
    return mixed, mix(labels)

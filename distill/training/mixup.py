"""Mixing every video with another of its batch.

Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
"""

import tensorflow as tf


def draw_shares(num_videos: int, alpha: float, seed: tuple[int, int]):
    """Returns every video's share of itself, `[videos]` from a half to 1.

    Args:
      num_videos: How many.
      alpha: Parameter of the symmetric beta distribution of the shares.
      seed: It alone decides the draws.
    """
    draws = tf.random.stateless_gamma([2, num_videos], seed, alpha)
    share = draws[0] / tf.maximum(tf.reduce_sum(draws, axis=0), 1e-12)
    return tf.maximum(share, 1 - share)


def mix_videos(inputs, labels, shares):
    """Mixes every video with the one as far from the batch's other end.

    Args:
      inputs: Preprocessed `frames` `[batch, frames, features]` with
        `num_frames` `[batch]`, or `features` `[batch, features]`; what else
        is in it stays.
      labels: Floats `[batch, classes]`.
      shares: Floats `[batch]`, every video's share of itself.

    Returns:
      The mixed inputs, of as many frames as the longer of the two has, and
      the mixed labels, shares in [0, 1].
    """

    def mix(values):
        own = tf.reshape(shares, [-1] + [1] * (len(values.shape) - 1))
        return own * values + (1 - own) * values[::-1]

    mixed = dict(inputs)
    for name in ("frames", "features"):
        if name in inputs:
            mixed[name] = mix(inputs[name])
    if "num_frames" in inputs:
        num_frames = inputs["num_frames"]
        mixed["num_frames"] = tf.maximum(num_frames, num_frames[::-1])
    return mixed, mix(labels)

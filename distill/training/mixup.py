"""Mixing every video with another of its batch.

Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
"""

import tensorflow as tf


def mix_videos(inputs, labels, alpha: float, seed):
    """Mixes every video with the one as far from the batch's other end.

    Args:
      inputs: Preprocessed `frames` `[batch, frames, features]` with
        `num_frames` `[batch]`, or `features` `[batch, features]`; what else
        is in it stays.
      labels: Floats `[batch, classes]`.
      alpha: Parameter of the beta distribution from which each video's share
        of itself is drawn, at least a half.
      seed: Two ints; they alone decide the draws.

    Returns:
      The mixed inputs, of as many frames as the longer of the two has, and
      the mixed labels, shares in [0, 1].
    """
    shape = [2, tf.shape(labels)[0]]
    draws = tf.random.stateless_gamma(shape, seed, alpha)
    share = draws[0] / tf.maximum(tf.reduce_sum(draws, axis=0), 1e-12)
    share = tf.maximum(share, 1 - share)

    def mix(values):
        own = tf.reshape(share, [-1] + [1] * (len(values.shape) - 1))
        return own * values + (1 - own) * values[::-1]

    mixed = dict(inputs)
    for name in ("frames", "features"):
        if name in inputs:
            mixed[name] = mix(inputs[name])
    if "num_frames" in inputs:
        num_frames = inputs["num_frames"]
        mixed["num_frames"] = tf.maximum(num_frames, num_frames[::-1])
    return mixed, mix(labels)

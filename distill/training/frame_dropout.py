"""Leaving out frames of training videos at random.

A network that sees other frames of a video in every epoch fits the single
frames less closely; Srivastava et al., "Dropout", JMLR 2014, does so with
single values.
"""

import tensorflow as tf

from distill.models.frame_mask import frame_mask
from distill.models.frame_selection import take_frames


def draw_frames(
    num_videos: int, num_draws: int, seed: tuple[int, int]
) -> tf.Tensor:
    """Returns draws `[videos, draws]` in [0, 1) that follow from a seed."""
    # The seed itself draws the weights of mixup.
    seeds = tf.random.fold_in(tf.constant(seed, tf.int32), 1)
    return tf.random.stateless_uniform([num_videos, num_draws], seeds)


def drop_frames(
    videos: dict[str, tf.Tensor], draws: tf.Tensor, share: float
) -> dict[str, tf.Tensor]:
    """Leaves out the frames whose draws are below a share.

    Args:
      videos: Dict of `frames` `[batch, frames, features]` and `num_frames` int
        `[batch]`. Other entries stay.
      draws: Floats `[batch, frames]` in [0, 1).
      share: The share of frames to leave out, from 0 to 1. A video whose
        frames are all below it keeps that of the greatest draw.

    Returns:
      The videos with the frames that are left, in time order, and their
      number; what follows them is undefined.
    """
    frames, num_frames = videos["frames"], videos["num_frames"]
    real = frame_mask(frames, num_frames)
    draws = tf.where(real, draws, -1.0)
    greatest = tf.reduce_max(draws, axis=1, keepdims=True)
    kept = real & ((draws >= share) | (draws == greatest))
    order = tf.argsort(tf.cast(kept, tf.int32), -1, "DESCENDING", stable=True)
    return videos | {
        "frames": take_frames(frames, order),
        "num_frames": tf.reduce_sum(tf.cast(kept, tf.int32), axis=1),
    }

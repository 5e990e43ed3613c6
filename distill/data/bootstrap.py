"""Training sets drawn with replacement, for bagging.

Breiman, "Bagging predictors", Machine Learning 1996. How often a video is
drawn follows a Poisson distribution of mean 1, the limit of draws from many
videos (Oza and Russell, "Online bagging and boosting", 2001). It depends on
the video's id and a key alone: no order, batch, file or interruption changes
it.
"""

import math

import tensorflow as tf

from distill.data.frame_draws import draw_for_videos
from distill.data.reasons import GOOD
from distill.data.records import Parsed

# More copies are less likely than a draw of frame_draws can tell from 0.
_MOST_COPIES = 10
_CUMULATIVE = tuple(
    sum(math.exp(-1) / math.factorial(i) for i in range(copies + 1))
    for copies in range(_MOST_COPIES)
)


def bootstrap_key(seed: int) -> str:
    """Returns the key of the training set of a run."""
    return f"{seed}/bootstrap"


def count_copies(ids: tf.Tensor, key: str) -> tf.Tensor:
    """Returns how often each of the videos `ids` `[batch]` is drawn, int32."""
    draws = draw_for_videos(ids, 1, key)
    return tf.reduce_sum(tf.cast(draws >= _CUMULATIVE, tf.int32), axis=1)


def repeat_drawn(parsed: Parsed, of_segments: bool, key: str) -> Parsed:
    """Repeats each parsed example as often as its video is drawn, or never.

    Bad examples stay, once. All values are `[examples, ...]`; the segments of
    a video are drawn together.
    """
    ids = parsed["id"]
    if of_segments:
        ids = tf.strings.regex_replace(ids, ":[0-9]*$", "")
    copies = tf.where(parsed["reason"] == GOOD, count_copies(ids, key), 1)
    return {
        name: tf.repeat(value, copies, axis=0) for name, value in parsed.items()
    }

"""Reasons for which a record is bad, as codes inside the graph."""

import tensorflow as tf

GOOD = 0
# A record's reason code is its reason's place in here.
REASONS = (
    "",
    "no id",
    "no labels",
    "label outside the classes",
    "no frames",
    "missing feature",
    "feature lists of different lengths",
    "wrong width",
    "value not finite",
    "no rated segments",
    "segment lists of different lengths",
    "segment score outside 0 to 1",
    "segment of another length",
    "segment outside the video",
    "frames of another budget",
    "fewer frames than min_frames",
)
# The only reason that is no fault of a record.
TOO_SHORT = REASONS.index("fewer frames than min_frames")


def first_reason(
    checks: list[tuple[tf.Tensor, str]], otherwise: tf.Tensor
) -> tf.Tensor:
    """Returns the code of the first check that failed, else `otherwise`.

    A check is a pair of bools, true where it failed, and one of `REASONS`.
    """
    code = otherwise
    for failed, reason in reversed(checks):
        code = tf.where(failed, REASONS.index(reason), code)
    return code


def frames_reason(
    counts: tf.Tensor, wrong_width: tf.Tensor, not_finite: tf.Tensor
) -> tf.Tensor:
    """Returns the reason codes `[batch]` of records' frames.

    Args:
      counts: int32 `[batch, features]`, frames of each feature.
      wrong_width: bool `[batch]`, whether a frame has another width.
      not_finite: bool `[batch]`, whether a frame holds such a number.
    """
    return first_reason(
        [
            (tf.reduce_all(counts == 0, axis=1), "no frames"),
            (tf.reduce_any(counts == 0, axis=1), "missing feature"),
            (
                tf.reduce_any(counts != counts[:, :1], axis=1),
                "feature lists of different lengths",
            ),
            (wrong_width, "wrong width"),
            (not_finite, "value not finite"),
        ],
        tf.fill(tf.shape(counts)[:1], GOOD),
    )

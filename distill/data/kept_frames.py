"""The frames that a reader keeps of a record, by its frame budget."""

import tensorflow as tf

from distill.data.frame_draws import EVALUATION_KEY
from distill.data.reasons import GOOD, TOO_SHORT, first_reason
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import frame_positions

# Key of the budget in a record that holds the frames of a budget alone.
BUDGET_KEY = "frame_budget"


def holds_kept_frames(
    held: tf.Tensor, budget: FrameBudget, draw_key: str
) -> tf.Tensor:
    """Returns whether records of the budgets `held` hold this one's frames."""
    # No record can hold frames that are drawn anew in every epoch.
    is_fixed = budget.is_fixed or (
        draw_key == EVALUATION_KEY and budget == budget.at_evaluation()
    )
    return (held == budget.name) & is_fixed


def kept_positions(
    num_frames: tf.Tensor,
    are_kept: tf.Tensor,
    budget: FrameBudget,
    max_frames: int,
    draws: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the places in each record of the frames that a budget keeps.

    Args:
      num_frames: int32 `[batch]`, frames of each record, at most `max_frames`.
      are_kept: bool `[batch]`, whether these are the budget's frames alone.
      budget: A budget that keeps some frames.
      max_frames: The most frames of a video.
      draws: float32 `[batch, budget's num_draws]`.

    Returns:
      int32 `[batch, width]`, undefined at or beyond the numbers int32
      `[batch]` that are kept.
    """
    width = budget.width(max_frames)
    positions, kept = frame_positions(num_frames, budget, max_frames, draws)
    ranks = tf.range(width)[None]
    if positions is None:
        positions = budget.every_n * ranks
    positions = tf.where(are_kept[:, None], ranks, positions)
    return positions, tf.where(are_kept, tf.minimum(num_frames, width), kept)


def check_budget(
    held: tf.Tensor,
    are_kept: tf.Tensor,
    num_frames: tf.Tensor,
    min_frames: int,
    reason: tf.Tensor,
) -> tf.Tensor:
    """Returns the reason codes of records that name a budget, or are short.

    Args:
      held: string `[batch]`, the name of the budget; empty for whole videos.
      are_kept: bool `[batch]`, as for `kept_positions`.
      num_frames: int32 `[batch]`, all frames of each record.
      min_frames: The least number of frames of a good video.
      reason: int32 `[batch]`, the reason codes of what is in the records.
    """
    # The length of a video that was cut is not known.
    is_cut = (held != "") & (min_frames > 1)
    is_other = ((held != "") & ~are_kept) | is_cut
    reason = first_reason([(is_other, "frames of another budget")], reason)
    is_short = (reason == GOOD) & (num_frames < min_frames)
    return tf.where(is_short, TOO_SHORT, reason)

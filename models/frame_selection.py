"""Frames of a video, or means of its frames, by a frame budget.

Every-n is that of Bhardwaj et al. 2019, released code; the others are those of
its table 1, on the real length n of each video, and the means of k equal parts
of it, after YouTube-8M's video-level features (k = 1). A video of k frames or
fewer keeps all.
"""

import numpy as np
from keras import ops

from distill.models.frame_budget import EVERY_N, FrameBudget
from distill.models.frame_mask import frame_mask, zero_padding
from distill.models.preprocessing import dequantize, is_quantised
from distill.models.quantisation import YT8M_RANGE


def select_frames(inputs, budget: FrameBudget, value_range=YT8M_RANGE):
    """Keeps the frames of a budget, or the means of frames.

    Args:
      inputs: Dict of stored `frames` `[batch, frames, features]`, `num_frames`
        int `[batch]` and, for a budget that draws, `draws` `[batch, budget's
        num_draws]`. A dict without frames is returned unchanged.
      budget: The frames to keep.
      value_range: The least and the greatest value of the quantisation.

    Returns:
      Dict of `frames` `[batch, budget's num_inputs, features]` and
      `num_frames` int32 `[batch]`. Means are float32, of the numbers that bytes
      stand for, and zeros at or beyond `num_frames`; frames stay as they are,
      and are undefined there.
    """
    if budget.keeps_all or budget.attends or "frames" not in inputs:
        return inputs
    frames, num_frames = inputs["frames"], inputs["num_frames"]
    draws = inputs.get("draws")
    if budget.averages:
        starts, ends, kept = part_borders(
            num_frames, budget, frames.shape[1], draws
        )
        means = average_parts(frames, starts, ends)
        if is_quantised(frames):
            means = dequantize(means, value_range)
        means = zero_padding(means, frame_mask(means, kept))
        return {"frames": means, "num_frames": kept}
    positions, kept = frame_positions(
        num_frames, budget, frames.shape[1], draws
    )
    if positions is None:
        return {"frames": frames[:, :: budget.every_n], "num_frames": kept}
    return {"frames": take_frames(frames, positions), "num_frames": kept}


def average_parts(frames, starts, ends):
    """Returns the mean of each part of the videos, zeros for an empty one.

    The sum of a part's bytes is exact, so the mean is the same on every
    backend.

    Args:
      frames: `[batch, frames, features]`, bytes or finite floats.
      starts: Ints `[batch, parts]`, the first frame of each part.
      ends: Ints `[batch, parts]`, the frame after the last.

    Returns:
      float32 `[batch, parts, features]`.
    """
    inside = ops.cast(part_mask(starts, ends, frames.shape[1]), "float32")
    sums = ops.matmul(inside, ops.cast(frames, "float32"))
    counts = ops.cast(ops.maximum(ends - starts, 1), "float32")
    return sums / counts[..., None]


def part_mask(starts, ends, max_frames: int):
    """Returns booleans `[batch, parts, max_frames]`: which frame is in a part.

    The parts are those of `part_borders`.
    """
    places = ops.arange(max_frames, dtype="int32")[None, None]
    return (places >= starts[..., None]) & (places < ends[..., None])


def part_borders(num_frames, budget: FrameBudget, max_frames: int, draws=None):
    """Returns the parts of each video whose means a budget keeps.

    The parts are equal, up to the rounding of their borders down to whole
    frames. A border drawn at random lies anywhere between the middles of its
    two parts; no part is empty.

    Args:
      num_frames: As for `frame_positions`.
      budget: A budget of means.
      max_frames: The most frames of a video.
      draws: As for `frame_positions`.

    Returns:
      `starts` and `ends` int32 `[batch, width]`, the first frame of a part and
      the one after its last, both `num_frames` beyond the last part;
      `num_parts` int32 `[batch]`.
    """
    length = ops.cast(num_frames, "int32")[:, None]
    width = budget.width(max_frames)
    wanted, draws = _wanted(length, width, budget, draws)
    parts = ops.maximum(ops.minimum(length, wanted), 1)
    ranks = ops.arange(1, width, dtype="int32")[None]
    inner = ranks * length // parts
    if budget.random_offset:
        least = (2 * ranks - 1) * length // (2 * parts) + 1
        choices = (2 * ranks + 1) * length // (2 * parts) - least + 1
        steps = ops.floor(draws * ops.cast(choices, "float32"))
        inner = least + ops.cast(steps, "int32")
    inner = ops.where(ranks < parts, inner, length)
    starts = ops.concatenate([ops.zeros_like(length), inner], axis=1)
    ends = ops.concatenate([inner, length], axis=1)
    return starts, ends, ops.minimum(length, wanted)[:, 0]


def take_frames(frames, positions):
    """Returns the frames at `[batch, count]` positions of each video."""
    batch_size, length = ops.shape(frames)[0], ops.shape(frames)[1]
    firsts = length * ops.arange(batch_size, dtype="int32")
    rows = ops.reshape(frames, (-1, frames.shape[-1]))
    return ops.take(rows, firsts[:, None] + positions, axis=0)


def frame_positions(
    num_frames, budget: FrameBudget, max_frames: int, draws=None
):
    """Returns the frames of each video that a budget keeps, in time order.

    The budget is not one of means.

    Args:
      num_frames: Ints `[batch]`, real frames of each video.
      budget: The frames to keep.
      max_frames: The most frames of a video.
      draws: Floats `[batch, budget.num_draws(max_frames)]` in [0, 1), random
        numbers for each video; None if the budget draws none.

    Returns:
      `positions` int32 `[batch, width]`, or None for the frames 0, n, 2n ...
      of every video alike; `num_kept` int32 `[batch]`: positions at or beyond
      it are undefined, but lie in the video.
    """
    num_frames = ops.cast(num_frames, "int32")
    width, offset = budget.width(max_frames), None
    if budget.random_offset:
        offset, draws = draws[:, :1], draws[:, 1:]
    if budget.selection == EVERY_N:
        return _every_n(num_frames, budget.every_n, width, offset)
    length = num_frames[:, None]
    wanted, draws = _wanted(length, width, budget, draws)
    ranks = ops.arange(width, dtype="int32")[None]
    if budget.selection == "uniform_k":
        positions = _uniform(ranks, length, wanted, offset)
    elif budget.selection == "random_k":
        positions = _first_of(_random_order(length, draws), ranks, wanted)
    elif budget.selection == "nested_k":
        orders = ops.take(_nested_orders(max_frames), num_frames, axis=0)
        positions = _first_of(orders, ranks, wanted)
    else:
        positions = _RUNS[budget.selection](ranks, length, wanted)
    positions = ops.where(length <= wanted, ranks, positions)
    kept = ops.minimum(length, wanted)[:, 0]
    return ops.clip(positions, 0, ops.maximum(length - 1, 0)), kept


def frame_spans(num_frames, budget: FrameBudget, max_frames: int, draws=None):
    """Returns the frames of each entry that a budget keeps of a video.

    The arguments are those of `frame_positions`; any budget will do.

    Returns:
      `starts` and `ends` int32 `[batch, width]`, the first frame of an entry
      and the one after its last, undefined at or beyond `num_kept` int32
      `[batch]`.
    """
    if budget.averages:
        return part_borders(num_frames, budget, max_frames, draws)
    starts, kept = frame_positions(num_frames, budget, max_frames, draws)
    if starts is None:
        ranks = ops.arange(budget.width(max_frames), dtype="int32")
        starts = ops.zeros_like(kept)[:, None] + budget.every_n * ranks
    return starts, starts + 1, kept


def _wanted(length, width, budget, draws):
    """Returns how many frames each video gives, and the draws left over."""
    if budget.fewest_frames is None:
        return ops.full_like(length, width), draws
    span = width - budget.fewest_frames + 1
    steps = ops.cast(ops.floor(draws[:, :1] * span), "int32")
    return budget.fewest_frames + steps, draws[:, 1:]


def _every_n(num_frames, every_n, width, offset):
    """Keeps `floor(num_frames / n)` frames.

    A video of fewer than n frames keeps one; the released code keeps none.
    """
    kept = ops.maximum(num_frames // every_n, ops.minimum(num_frames, 1))
    if offset is None:
        return None, kept
    length = num_frames[:, None]
    choices = length - every_n * (kept[:, None] - 1)
    choices = ops.cast(choices, "float32")
    first = ops.cast(ops.floor(offset * choices), "int32")
    positions = first + every_n * ops.arange(width, dtype="int32")[None]
    return ops.clip(positions, 0, ops.maximum(length - 1, 0)), kept


def _uniform(ranks, length, wanted, offset):
    """The middles of `wanted` equal spans, or a random place in each."""
    if offset is None:
        return (2 * ranks + 1) * length // (2 * wanted)
    places = (ops.cast(ranks, "float32") + offset) * ops.cast(length, "float32")
    return ops.cast(ops.floor(places / ops.cast(wanted, "float32")), "int32")


def _first_middle_last(ranks, length, wanted):
    """A third of the frames each; one or two left over are placed evenly."""
    ends = (wanted + 1) // 3
    middle = wanted - 2 * ends
    in_middle = (length - middle) // 2 - ends
    at_end = length - wanted
    shift = ops.where(ranks < ends + middle, in_middle, at_end)
    return ranks + ops.where(ranks < ends, 0, shift)


_RUNS = {
    "first_k": lambda ranks, length, wanted: ranks,
    "middle_k": lambda ranks, length, wanted: ranks + (length - wanted) // 2,
    "last_k": lambda ranks, length, wanted: ranks + length - wanted,
    "first_middle_last_k": _first_middle_last,
}


def _random_order(length, draws):
    """Orders each video's frames by their draws, real ones first.

    The first k of an order are k frames drawn without replacement, and they
    are among its first k + 1.
    """
    real = ops.arange(draws.shape[1], dtype="int32")[None] < length
    return ops.cast(ops.argsort(ops.where(real, draws, 2.0), axis=1), "int32")


def _first_of(orders, ranks, wanted):
    """Returns the first `wanted` of each order, in time order."""
    beyond = orders.shape[1]
    chosen = ops.where(ranks < wanted, orders[:, : ranks.shape[1]], beyond)
    return ops.sort(chosen, axis=1)


def _nested_orders(max_frames: int) -> np.ndarray:
    """Returns an order of the frames of videos of every length.

    The middle of a video comes first, then the middles of its halves, of
    their halves and so on, so that the first k are spread for every k.

    Returns:
      int32 `[max_frames + 1, max_frames]`; row n begins with an order of the
      frames 0 to n - 1.
    """
    orders = np.tile(np.arange(max_frames, dtype=np.int32), (max_frames + 1, 1))
    for length in range(1, max_frames + 1):
        parts = [(0, length)]
        for rank in range(length):
            start, end = parts.pop(0)
            middle = (start + end) // 2
            orders[length, rank] = middle
            halves = ((start, middle), (middle + 1, end))
            parts += [half for half in halves if half[0] < half[1]]
    return orders

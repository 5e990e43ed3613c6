"""Selection of the frames of a video by a frame budget.

Every-n is that of Bhardwaj et al. 2019, released code; the others are those of
its table 1, on the real length n of each video. A video of k frames or fewer
keeps all.
"""

import numpy as np
from keras import ops

from distill.models.frame_budget import EVERY_N, FrameBudget


def select_frames(inputs, budget: FrameBudget):
    """Keeps the frames of a budget.

    Args:
      inputs: Dict of `frames` `[batch, frames, features]`, `num_frames` int
        `[batch]` and, for a budget that draws, `draws` (`frame_positions`).
        A dict without frames is returned unchanged.
      budget: The frames to keep.

    Returns:
      Dict of `frames` `[batch, budget's width, features]`, undefined
      at or beyond `num_frames`, and `num_frames` int32 `[batch]`.
    """
    if budget.keeps_all or "frames" not in inputs:
        return inputs
    frames = inputs["frames"]
    positions, kept = frame_positions(
        inputs["num_frames"], budget, frames.shape[1], inputs.get("draws")
    )
    if positions is None:
        return {"frames": frames[:, :: budget.every_n], "num_frames": kept}
    return {"frames": take_frames(frames, positions), "num_frames": kept}


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
    wanted = ops.full_like(num_frames, width)[:, None]
    if budget.fewest_frames is not None:
        span = width - budget.fewest_frames + 1
        steps = ops.cast(ops.floor(draws[:, :1] * span), "int32")
        wanted, draws = budget.fewest_frames + steps, draws[:, 1:]
    length = num_frames[:, None]
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

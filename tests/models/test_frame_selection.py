"""Frames that budgets leave, against lists written from their description."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from distill.models.frame_budget import (
    ALL_FRAMES,
    EVERY_N,
    SEGMENT_ATTENTION,
    SEGMENT_MEANS,
    SELECTIONS,
    FrameBudget,
)
from distill.models.frame_selection import (
    frame_positions,
    select_frames,
)

MAX_FRAMES = 9
LENGTHS = np.arange(MAX_FRAMES + 1, dtype=np.int32)
OF_K_FRAMES = [
    name
    for name in SELECTIONS
    if name not in (EVERY_N, SEGMENT_MEANS, SEGMENT_ATTENTION)
]
DRAWS = np.random.default_rng(0).random((10, 11), dtype=np.float32)
# Frames that NumPy and the float formulas select alike.
OFFSETS = np.arange(64, dtype=np.float32) / 64


def uniform(length, k, offset=Fraction(1, 2)):
    """A place in each of k equal parts, its middle as a rule."""
    return [math.floor((part + offset) * length / k) for part in range(k)]


def first_middle_last(length, k):
    third, left_over = divmod(k, 3)
    ends, middle = third + (left_over == 2), third + (left_over == 1)
    start = (length - middle) // 2
    return [
        *range(ends),
        *range(start, start + middle),
        *range(length - ends, length),
    ]


def nested_order(length):
    """The middle, the middles of the halves, of their halves and so on."""
    order, level = [], [range(length)]
    while level:
        level = [part for part in level if part]
        order += [part[len(part) // 2] for part in level]
        level = [
            half
            for part in level
            for half in (part[: len(part) // 2], part[len(part) // 2 + 1 :])
        ]
    return order


def random_order(length, draws):
    return sorted(range(length), key=lambda frame: draws[frame])


def expected_positions(selection, length, k, draws=None):
    """Returns the list of a video's frames that k of them are."""
    if length <= k:
        return list(range(length))
    start = (length - k) // 2
    return {
        "uniform_k": lambda: uniform(length, k),
        "random_k": lambda: sorted(random_order(length, draws)[:k]),
        "first_k": lambda: list(range(k)),
        "middle_k": lambda: list(range(start, start + k)),
        "last_k": lambda: list(range(length - k, length)),
        "first_middle_last_k": lambda: first_middle_last(length, k),
        "nested_k": lambda: sorted(nested_order(length)[:k]),
    }[selection]()


def kept_positions(budget, lengths=LENGTHS, draws=None, max_frames=MAX_FRAMES):
    """Returns a list of positions a video; those beyond lie in the video."""
    positions, kept = frame_positions(lengths, budget, max_frames, draws)
    positions, kept = np.asarray(positions), np.asarray(kept)
    assert positions.dtype == kept.dtype == np.int32
    assert positions.shape == (len(lengths), budget.width(max_frames))
    assert (positions >= 0).all()
    assert (positions <= np.maximum(lengths - 1, 0)[:, None]).all()
    return [
        list(row[:count]) for row, count in zip(positions, kept, strict=True)
    ]


def draws_for(budget):
    """Returns draws for a video of every length, if the budget takes any."""
    num_draws = budget.num_draws(MAX_FRAMES)
    return DRAWS[:, :num_draws] if num_draws else None


@pytest.mark.parametrize("k", range(1, MAX_FRAMES + 1))
@pytest.mark.parametrize("selection", OF_K_FRAMES)
def test_k_frames_of_videos_of_every_length_are_those_of_the_lists(
    selection, k
):
    budget = FrameBudget(selection, num_frames=k)
    draws = draws_for(budget)
    found = kept_positions(budget, draws=draws)
    for length, positions in zip(LENGTHS, found, strict=True):
        own_draws = None if draws is None else draws[length]
        assert positions == expected_positions(selection, length, k, own_draws)
        # In time order, none twice, all there are of a short video.
        assert positions == sorted(set(positions))
        assert len(positions) == min(length, k)


@pytest.mark.parametrize("selection", OF_K_FRAMES)
def test_selection_of_uint8_frames_is_the_same_traced_and_eager(selection):
    k = 4
    budget = FrameBudget(selection, num_frames=k)
    shape = (len(LENGTHS), MAX_FRAMES, 2)
    frames = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    inputs = {"frames": tf.constant(frames), "num_frames": tf.constant(LENGTHS)}
    if budget.num_draws(MAX_FRAMES):
        inputs["draws"] = tf.constant(draws_for(budget))
    specs = {
        key: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
        for key, value in inputs.items()
    }
    traced = tf.function(
        lambda inputs: select_frames(inputs, budget), input_signature=[specs]
    )
    expected = kept_positions(budget, draws=inputs.get("draws"))
    for select in (traced, lambda inputs: select_frames(inputs, budget)):
        outputs = select(inputs)
        assert set(outputs) == {"frames", "num_frames"}
        assert outputs["frames"].dtype == tf.uint8
        assert outputs["frames"].shape == (len(LENGTHS), k, 2)
        assert outputs["num_frames"].dtype == tf.int32
        for video, positions in enumerate(expected):
            count = int(outputs["num_frames"][video])
            np.testing.assert_array_equal(
                outputs["frames"][video, :count], frames[video, positions]
            )


def test_nested_frames_begin_with_the_middle_and_are_spread_for_every_k():
    for k in range(1, 64):
        budget = FrameBudget("nested_k", num_frames=k)
        (frames,) = kept_positions(budget, np.array([63], np.int32), None, 63)
        if k == 1:
            assert frames == [31]
        # The largest gap is that of the halves that are cut last.
        gaps = np.diff([-1, *frames, 63])
        assert gaps.max() == 64 // 2 ** int(math.log2(k + 1))


def test_every_set_of_random_frames_is_as_likely():
    length, k, num_videos = 7, 3, 7000
    budget = FrameBudget("random_k", num_frames=k)
    draws = np.random.default_rng(2).random(
        (num_videos, MAX_FRAMES), dtype=np.float32
    )
    lengths = np.full(num_videos, length, np.int32)
    found = kept_positions(budget, lengths, draws)
    counts = dict.fromkeys(itertools.combinations(range(length), k), 0)
    for positions in found:
        counts[tuple(positions)] += 1
    expected = num_videos / len(counts)
    surprise = sum((n - expected) ** 2 / expected for n in counts.values())
    # Chi-square of 34 degrees: 34 +- 8.2; six deviations off is no chance.
    assert surprise < 34 + 6 * math.sqrt(2 * 34)


@pytest.mark.parametrize("k", [1, 2, 4, 6, MAX_FRAMES])
def test_uniform_frames_with_an_offset_take_one_place_in_every_part(k):
    budget = FrameBudget("uniform_k", num_frames=k, random_offset=True)
    for length in LENGTHS:
        lengths = np.full(len(OFFSETS), length, np.int32)
        found = kept_positions(budget, lengths, OFFSETS[:, None])
        for offset, positions in zip(OFFSETS, found, strict=True):
            place = Fraction(float(offset))
            expected = uniform(int(length), k, place)
            assert positions == (expected if length > k else [*range(length)])
            assert set(np.diff(positions)) <= {length // k, -(-length // k), 1}
        assert set().union(*found) == set(range(length))


@pytest.mark.parametrize("every_n", [1, 2, 4, MAX_FRAMES, 20])
def test_every_nth_frame_with_an_offset_begins_wherever_all_fit(every_n):
    budget = FrameBudget(every_n=every_n, random_offset=True)
    for length in LENGTHS:
        lengths = np.full(len(OFFSETS), length, np.int32)
        found = kept_positions(budget, lengths, OFFSETS[:, None])
        kept = max(length // every_n, min(length, 1))
        for offset, positions in zip(OFFSETS, found, strict=True):
            span = length - every_n * (kept - 1)
            first = math.floor(float(offset) * span)
            assert positions == [first + every_n * i for i in range(kept)]
        assert set().union(*found) == set(range(length))


def test_the_greatest_draw_stays_in_the_video():
    last = np.nextafter(np.float32(1), np.float32(0))
    for budget in (
        FrameBudget(every_n=4, random_offset=True),
        FrameBudget("uniform_k", num_frames=4, random_offset=True),
        FrameBudget("uniform_k", num_frames=4, fewest_frames=2),
        FrameBudget("random_k", num_frames=4, fewest_frames=2),
    ):
        shape = (len(LENGTHS), budget.num_draws(MAX_FRAMES))
        found = kept_positions(budget, draws=np.full(shape, last))
        for length, positions in zip(LENGTHS, found, strict=True):
            assert positions == sorted(set(positions))
            if budget.fewest_frames:
                assert len(positions) == min(length, 4)


@pytest.mark.parametrize("selection", OF_K_FRAMES)
def test_a_drawn_number_of_frames_is_that_selection_of_as_many(selection):
    fewest, most = 2, 6
    budget = FrameBudget(selection, num_frames=most, fewest_frames=fewest)
    draws = np.random.default_rng(3).random((300, 10), dtype=np.float32)
    for length in (0, 1, 4, MAX_FRAMES):
        lengths = np.full(len(draws), length, np.int32)
        own = draws[:, : budget.num_draws(MAX_FRAMES)]
        found = kept_positions(budget, lengths, own)
        for row, positions in zip(own, found, strict=True):
            k = fewest + math.floor(float(row[0]) * (most - fewest + 1))
            assert positions == expected_positions(
                selection, length, k, row[1:]
            )
        counts = np.bincount([len(positions) for positions in found])
        possible = {min(length, k) for k in range(fewest, most + 1)}
        assert set(np.flatnonzero(counts)) == possible
        if length == MAX_FRAMES:
            # 300 draws of five numbers: 60 +- 7 of each.
            assert counts[fewest:].min() > 30


def test_offset_and_number_are_drawn_by_themselves():
    budget = FrameBudget(
        "uniform_k", num_frames=4, random_offset=True, fewest_frames=1
    )
    draws = np.array([[0.0, 0.99], [0.99, 0.0]], np.float32)
    found = kept_positions(budget, np.array([8, 8], np.int32), draws)
    assert found == [[0, 2, 4, 6], [7]]


@pytest.mark.parametrize("every_n", [1, 2, 3, 5, 9, 20])
@pytest.mark.parametrize("traced", [False, True])
def test_every_n_keeps_frames_0_n_2n_and_floors_num_frames(every_n, traced):
    shape = (len(LENGTHS), MAX_FRAMES, 2)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    budget = FrameBudget.every(every_n)

    def select(inputs):
        return select_frames(inputs, budget)

    inputs = {"frames": frames, "num_frames": LENGTHS}
    outputs = (tf.function(select) if traced else select)(inputs)
    steps = [frame for frame in range(MAX_FRAMES) if frame % every_n == 0]
    np.testing.assert_array_equal(outputs["frames"], frames[:, steps])
    assert len(steps) == budget.width(MAX_FRAMES)
    expected = [
        0 if count == 0 else max(count // every_n, 1) for count in LENGTHS
    ]
    np.testing.assert_array_equal(outputs["num_frames"], expected)
    # Every frame that counts lies before the video's end.
    last = (np.array(expected) - 1) * every_n
    assert np.all(last < np.maximum(LENGTHS, 1))


def test_all_frames_and_video_level_features_pass_untouched():
    inputs = {"features": np.ones((2, 3), np.float32)}
    assert select_frames(inputs, FrameBudget.every(10)) is inputs
    frames = {"frames": np.ones((2, 3, 1)), "num_frames": np.ones(2)}
    assert select_frames(frames, ALL_FRAMES) is frames

"""Means of the parts of videos, against sums written by hand."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from distill.models.frame_budget import SEGMENT_MEANS, FrameBudget
from distill.models.frame_selection import part_borders, select_frames
from distill.models.preprocessing import preprocess

MAX_FRAMES = 9
LENGTHS = np.arange(MAX_FRAMES + 1, dtype=np.int32)
RANGE = (-1.0, 3.0)
FRAMES = np.random.default_rng(0).integers(
    0, 256, (len(LENGTHS), MAX_FRAMES, 4), dtype=np.uint8
)


def means_budget(k, **fields):
    return FrameBudget(SEGMENT_MEANS, num_frames=k, **fields)


def parts_of(length, k):
    """Returns the frames of each part of a video, by exact fractions."""
    k = min(k, length)
    borders = [int(Fraction(part * length, k)) for part in range(k + 1)]
    return [range(a, b) for a, b in itertools.pairwise(borders)]


def drawn_parts(length, budget, draws):
    """Returns the parts of one video for each row of draws."""
    lengths = np.full(len(draws), length, np.int32)
    found = part_borders(lengths, budget, MAX_FRAMES, draws)
    starts, ends, counts = map(np.asarray, found)
    return [
        [range(a, b) for a, b in zip(first[:n], last[:n], strict=True)]
        for first, last, n in zip(starts, ends, counts, strict=True)
    ]


def test_parts_of_ten_frames_are_those_that_a_person_would_write():
    assert [list(part) for part in parts_of(7, 3)] == [
        [0, 1],
        [2, 3],
        [4, 5, 6],
    ]
    (found,) = drawn_parts(7, means_budget(3), np.zeros([1, 0]))
    assert found == [range(0, 2), range(2, 4), range(4, 7)]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("k", range(1, MAX_FRAMES + 1))
def test_means_of_videos_of_every_length_are_numpys(k, traced):
    budget = means_budget(k)

    def select(inputs):
        return select_frames(inputs, budget, RANGE)

    inputs = {"frames": tf.constant(FRAMES), "num_frames": tf.constant(LENGTHS)}
    specs = {
        key: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
        for key, value in inputs.items()
    }
    if traced:
        select = tf.function(select, input_signature=[specs])
    found = select(inputs)
    assert found["frames"].dtype == tf.float32
    assert found["frames"].shape == (len(LENGTHS), k, 4)
    assert found["num_frames"].dtype == tf.int32
    for video, length in enumerate(LENGTHS):
        parts = parts_of(length, k) if length else []
        assert found["num_frames"][video] == len(parts) == min(length, k)
        # Numbers that bytes stand for: 255 steps of the range, half a 1/256.
        expected = np.zeros((k, 4))
        for row, part in enumerate(parts):
            stored = FRAMES[video, list(part)].astype(np.float64)
            expected[row] = stored.mean(axis=0) * 4 / 255 + 4 / 512 - 1
        np.testing.assert_allclose(
            found["frames"][video], expected, rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("k", [1, 4])
def test_a_video_of_k_frames_or_fewer_gives_each_its_own(k):
    short = {"frames": FRAMES[: k + 1], "num_frames": LENGTHS[: k + 1]}
    means = select_frames(short, means_budget(k), RANGE)
    own = preprocess({**short, "frames": FRAMES[: k + 1, :k]}, RANGE)
    read = preprocess(means, RANGE)
    np.testing.assert_allclose(read["frames"], own["frames"], atol=1e-6)
    np.testing.assert_array_equal(read["num_frames"], LENGTHS[: k + 1])


def test_floats_are_averaged_as_they_are():
    values = np.random.default_rng(1).normal(size=FRAMES.shape).astype("f")
    found = select_frames(
        {"frames": values, "num_frames": LENGTHS}, means_budget(1), RANGE
    )
    expected = [values[n, :n].mean(axis=0) for n in LENGTHS[1:]]
    np.testing.assert_allclose(
        found["frames"][1:, 0], expected, rtol=0, atol=1e-6
    )


def test_what_lies_beyond_the_last_frame_does_not_matter():
    dirty = FRAMES.copy()
    for video, length in enumerate(LENGTHS):
        dirty[video, length:] = 255 - dirty[video, length:]
    means = [
        select_frames({"frames": f, "num_frames": LENGTHS}, means_budget(3))
        for f in (FRAMES, dirty)
    ]
    np.testing.assert_array_equal(means[0]["frames"], means[1]["frames"])


@pytest.mark.parametrize("k", [2, 3, 8])
def test_drawn_borders_lie_between_the_middles_of_their_parts(k):
    budget = means_budget(k, random_offset=True)
    assert budget.num_draws(MAX_FRAMES) == k - 1
    draws = np.random.default_rng(2).random((400, k - 1), dtype=np.float32)
    # The greatest number below 1 is drawn as well.
    draws[0] = np.nextafter(np.float32(1), np.float32(0))
    draws[1] = 0
    for length in (1, 4, MAX_FRAMES):
        count = min(k, length)
        found = drawn_parts(length, budget, draws)
        for parts in found:
            assert [frame for part in parts for frame in part] == [
                *range(length)
            ]
            assert all(parts)
            assert len(parts) == count
        for index in range(1, count):
            middles = (
                Fraction(2 * index + side, 2 * count) for side in (-1, 1)
            )
            least, most = (middle * length for middle in middles)
            allowed = {b for b in range(length + 1) if least < b <= most}
            assert {parts[index].start for parts in found} == allowed


def test_a_drawn_number_of_parts_is_that_budget():
    budget = means_budget(4, fewest_frames=2, random_offset=True)
    assert budget.num_draws(MAX_FRAMES) == 4
    draws = np.random.default_rng(3).random((300, 4), dtype=np.float32)
    for row, parts in zip(
        draws, drawn_parts(MAX_FRAMES, budget, draws), strict=True
    ):
        k = 2 + int(row[0] * 3)
        # Fewer parts take the first draws.
        fixed = means_budget(k, random_offset=True)
        assert [parts] == drawn_parts(MAX_FRAMES, fixed, row[None, 1:k])

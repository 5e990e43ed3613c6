"""Random numbers of videos: from id and key alone, and spread evenly."""

import math

import numpy as np
import pytest
import tensorflow as tf

from distill.data.frame_draws import (
    EVALUATION_KEY,
    draw_for_videos,
    epoch_key,
)


def make_ids(num_videos):
    names = [f"video{index:04d}" for index in range(num_videos)]
    return tf.constant(names, tf.string)


def test_a_video_s_numbers_depend_on_its_id_and_the_key_alone():
    ids, key = make_ids(40), epoch_key(3, 7)
    drawn = draw_for_videos(ids, 5, key).numpy()
    order = np.random.default_rng(0).permutation(40)
    shuffled = draw_for_videos(tf.gather(ids, order), 5, key).numpy()
    np.testing.assert_array_equal(shuffled, drawn[order])
    for index in (0, 17, 39):
        alone = draw_for_videos(ids[index : index + 1], 5, key)
        np.testing.assert_array_equal(alone, drawn[index : index + 1])
        one = draw_for_videos(ids[index], 5, key)
        assert one.shape == (5,)
        np.testing.assert_array_equal(one, drawn[index])
    # As many more as are wanted leave the first as they are.
    more = draw_for_videos(ids, 9, key).numpy()
    np.testing.assert_array_equal(more[:, :5], drawn)


@pytest.mark.parametrize("ids", [make_ids(6), make_ids(0), make_ids(1)[0]])
@pytest.mark.parametrize("num_draws", [0, 3])
def test_numbers_are_the_same_traced_and_eager(ids, num_draws):
    signature = [tf.TensorSpec([None] * len(ids.shape), tf.string)]
    traced = tf.function(
        lambda ids: draw_for_videos(ids, num_draws, "key"),
        input_signature=signature,
    )
    graph = traced.get_concrete_function()
    assert graph.output_shapes[-1] == num_draws
    eager = draw_for_videos(ids, num_draws, "key")
    assert eager.shape == (*ids.shape, num_draws)
    assert eager.dtype == tf.float32
    np.testing.assert_array_equal(traced(ids), eager)


def test_keys_ids_and_places_draw_different_numbers():
    ids = make_ids(50)
    pairs = [(0, 0), (0, 1), (1, 2), (2, 1), (1, 23), (12, 3)]
    keys = [EVALUATION_KEY, *(epoch_key(*pair) for pair in pairs)]
    draws = np.stack([draw_for_videos(ids, 20, key) for key in keys])
    # 7000 of 2 ** 24 numbers: one pair or two alike by chance.
    assert len(np.unique(draws)) > draws.size - 10


def test_numbers_are_uniform_and_independent():
    num_videos, num_draws, num_bins = 2000, 40, 50
    draws = draw_for_videos(make_ids(num_videos), num_draws, "0/0").numpy()
    assert draws.min() >= 0
    assert draws.max() < 1
    counts, _ = np.histogram(draws, bins=num_bins, range=(0, 1))
    expected = draws.size / num_bins
    surprise = np.sum((counts - expected) ** 2 / expected)
    assert surprise < num_bins + 6 * math.sqrt(2 * num_bins)
    correlations = np.corrcoef(draws, rowvar=False)
    np.fill_diagonal(correlations, 0)
    assert np.abs(correlations).max() < 5 / math.sqrt(num_videos)

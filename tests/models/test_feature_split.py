"""The features of a frame: cut from their joint vector, sized one by one."""

import numpy as np
import pytest

from distill.models.feature_split import (
    clusters_per_feature,
    size_per_feature,
    split_features,
)


@pytest.mark.parametrize("sizes", [[6], [4, 2], [1, 2, 3]])
def test_features_are_cut_in_order_and_join_to_the_whole(sizes):
    values = np.arange(60.0).reshape(2, 5, 6)
    parts = split_features(values, sizes)
    assert [part.shape for part in parts] == [(2, 5, size) for size in sizes]
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), values)


@pytest.mark.parametrize(
    ("num_features", "expected"),
    [(1, [8]), (2, [8, 4]), (4, [8, 4, 4, 4])],
)
def test_the_last_size_serves_all_further_features(num_features, expected):
    assert size_per_feature([8, 4], num_features) == expected


@pytest.mark.parametrize(
    ("clusters", "features", "divisor", "expected"),
    [
        (256, 2, 2, [256, 128]),
        (8000, 2, 8, [8000, 1000]),
        (5, 3, 2, [5, 2, 2]),
        (4, 2, 8, [4, 1]),
        (4, 1, 8, [4]),
    ],
)
def test_later_features_get_fewer_clusters(
    clusters, features, divisor, expected
):
    assert clusters_per_feature(clusters, features, divisor) == expected

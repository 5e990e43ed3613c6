"""Shares of frames in clusters, and sums by them, against NumPy."""

import numpy as np
import pytest

from distill.models.soft_assignment import (
    ClusterPooling,
    SoftAssignment,
    flatten_clusters,
    sum_by_cluster,
    sum_shares,
)
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_pooling import make_frames, normalized_dense, softmax


@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_soft_assignment_passes_the_layer_checks(add_batch_norm):
    check_layer(lambda: SoftAssignment(4, add_batch_norm), make_frames)


@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_shares_are_a_softmax_and_padding_has_none(add_batch_norm):
    layer = SoftAssignment(4, add_batch_norm)
    frames, mask = make_frames(5)
    layer.build(frames.shape)
    randomise_weights(layer)
    expected = softmax(normalized_dense(frames.astype(np.float64), layer))
    np.testing.assert_allclose(
        layer(frames, mask), expected * mask[:, :, None], atol=1e-6
    )
    np.testing.assert_allclose(layer(frames), expected, atol=1e-6)


def test_sums_are_those_over_the_frames():
    frames, _ = make_frames(2)
    shares = softmax(np.random.default_rng(3).normal(size=(2, 5, 4)))
    shares = shares.astype(np.float32)
    by_cluster = np.einsum("btk,btf->bkf", shares, frames)
    np.testing.assert_allclose(
        sum_by_cluster(frames, shares), by_cluster, atol=1e-6
    )
    np.testing.assert_allclose(sum_shares(shares), shares.sum(1), atol=1e-6)


def test_flattened_clusters_have_the_features_outermost():
    values = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    expected = [
        [video[k, f] for f in range(3) for k in range(4)] for video in values
    ]
    np.testing.assert_array_equal(flatten_clusters(values), expected)


def test_no_cluster_is_an_error():
    message = r"^num_clusters must be 1 or more, got 0\.$"
    with pytest.raises(ValueError, match=message):
        ClusterPooling(0)

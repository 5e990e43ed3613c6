"""Hit@1 and PERR against their definitions, video by video."""

import numpy as np
import pytest

from distill.metrics.ranking import precision_at_equal_recall, top_classes


def make_videos(num_videos=50, num_classes=12, seed=0):
    """Returns scores without ties and labels: none, all, or some."""
    rng = np.random.default_rng(seed)
    predictions = rng.random((num_videos, num_classes), dtype=np.float32)
    labels = rng.random((num_videos, num_classes)) < 0.2
    labels[0] = False
    labels[1] = True
    return predictions, labels


def perr(predictions, labels, k=5):
    top = top_classes(predictions, k)
    return precision_at_equal_recall(predictions, top, labels)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_hit_at_one_and_perr_are_their_definitions(k):
    predictions, labels = make_videos()
    hits, precisions = [], []
    for scores, row in zip(predictions, labels, strict=True):
        count, order = int(row.sum()), np.argsort(scores)[::-1]
        hits.append(row[order[0]])
        precisions.append(sum(row[order[:count]]) / max(count, 1))
    found = labels[np.arange(50), top_classes(predictions, k)[:, 0]]
    np.testing.assert_array_equal(found, hits)
    found = perr(predictions, labels, k)
    np.testing.assert_allclose(found, precisions, atol=1e-12)
    assert found[0] == 0  # a video without labels


def test_an_empty_batch_has_no_values():
    predictions, labels = np.zeros((0, 4)), np.zeros((0, 4), bool)
    assert perr(predictions, labels).shape == (0,)
    assert top_classes(predictions, 2).shape == (0, 2)
    assert top_classes(np.zeros((0, 500)), 20).shape == (0, 20)


@pytest.mark.parametrize("num_classes", [12, 81, 100, 527, 3862])
@pytest.mark.parametrize("k", [1, 7, 12, 20])
@pytest.mark.parametrize("levels", [2, 50, 10**6])
def test_top_classes_are_the_best_the_lower_first_of_equal_ones(
    num_classes, k, levels
):
    rng = np.random.default_rng(num_classes)
    predictions = rng.integers(0, levels, (70, num_classes)) / levels
    predictions = (predictions - 0.5).astype(np.float32)
    expected = np.argsort(-predictions, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(top_classes(predictions, k), expected)

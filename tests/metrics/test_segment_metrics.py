"""Metrics of rated segments against loops in plain Python."""

import numpy as np
import pytest

from distill.metrics.segments import SegmentMetrics
from tests import plain_metrics


def plain_segment_map(predictions, labels, rated):
    precisions = []
    for label in range(labels.shape[1]):
        rows = [row for row in range(len(labels)) if rated[row, label]]
        if any(labels[row, label] for row in rows):
            pairs = [(predictions[r, label], labels[r, label]) for r in rows]
            precisions.append(plain_metrics.average_precision(pairs))
    return sum(precisions) / len(precisions)


def draw_segments(count=40, num_classes=7, seed=0):
    """Returns predictions, labels of the rated pairs and the rated pairs."""
    random = np.random.default_rng(seed)
    shape = (count, num_classes)
    predictions = random.permutation(count * num_classes).reshape(shape)
    predictions = (predictions / (count * num_classes)).astype(np.float32)
    rated = random.random(shape) < 0.3
    labels = rated & (random.random(shape) < 0.5)
    labels[:, 5] = False  # a class that is rated, but nowhere positive
    rated[:, 6] = labels[:, 6] = False  # a class that nobody rated
    return predictions, labels, rated


def metrics_of(*batches):
    metrics = SegmentMetrics()
    for batch in batches:
        metrics.update(*batch)
    return metrics


def test_segment_map_and_gap_are_those_of_plain_loops():
    predictions, labels, rated = draw_segments()
    found = metrics_of((predictions, labels, rated)).result()
    expected = plain_segment_map(predictions, labels, rated)
    assert found["segment_mean_average_precision"] == pytest.approx(expected)
    pairs = list(zip(predictions[rated], labels[rated], strict=True))
    assert found["gap"] == pytest.approx(plain_metrics.average_precision(pairs))
    assert found["num_rated"] == rated.sum()


def test_what_nobody_rated_has_no_effect():
    predictions, labels, rated = draw_segments()
    expected = metrics_of((predictions, labels, rated)).result()
    random = np.random.default_rng(1)
    others = np.where(rated, predictions, random.random(predictions.shape))
    spoilt = np.where(rated, labels, True)
    assert metrics_of((others, spoilt, rated)).result() == expected


def test_batches_and_merged_metrics_give_the_result_of_the_whole():
    batch = draw_segments()
    expected = metrics_of(batch).result()
    parts = [[a[i : i + 9] for a in batch] for i in range(0, 40, 9)]
    in_batches = metrics_of(*parts)
    assert in_batches.result() == expected
    merged = SegmentMetrics()
    for group in (parts[:2], [], parts[2:]):
        merged.merge(metrics_of(*group))
    assert merged.result() == expected
    assert merged.num_segments == in_batches.num_segments == 40


@pytest.mark.parametrize("rated", [False, True])
def test_segments_without_a_positive_score_zero(rated):
    nothing = np.zeros((3, 2), bool)
    metrics = metrics_of((np.ones((3, 2)), nothing, nothing | rated))
    assert metrics.result() == {
        "segment_mean_average_precision": 0,
        "gap": 0,
        "num_rated": 6 * rated,
    }
    assert set(SegmentMetrics().result().values()) == {0}


def test_shapes_that_differ_and_scores_that_are_not_finite_are_errors():
    good = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"one shape, got .*\(3, 1\)\."):
        SegmentMetrics().update(good, good > 0, good[:, :1] > 0)
    with pytest.raises(ValueError, match="not finite"):
        SegmentMetrics().update(good + np.nan, good > 0, good > 0)

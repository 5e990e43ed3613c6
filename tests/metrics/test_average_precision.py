"""Average precision and mAP against their definitions."""

import numpy as np
import pytest

from distill.metrics.average_precision import (
    average_precision,
    mean_average_precision,
)


def slow_average_precision(scores, labels, num_positives=None):
    """Walks down the ranking."""
    ranked = sorted(zip(scores, labels, strict=True), key=lambda pair: -pair[0])
    hits, total = 0, 0.0
    for rank, (_, label) in enumerate(ranked, start=1):
        if label:
            hits += 1
            total += hits / rank
    positives = hits if num_positives is None else num_positives
    return total / positives if positives else 0.0


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([1, 1, 0, 0], 1.0),
        ([0, 0, 0, 1], 1 / 4),
        ([1, 0, 1, 0], (1 + 2 / 3) / 2),
        ([0, 0, 0, 0], 0.0),
    ],
)
def test_average_precision_of_hand_made_rankings(labels, expected):
    scores = np.array([0.9, 0.7, 0.4, 0.2])
    assert average_precision(scores, np.array(labels)) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("num_positives", [None, 40])
def test_average_precision_is_its_definition(num_positives):
    rng = np.random.default_rng(0)
    scores, labels = rng.random(200), rng.random(200) < 0.1
    expected = slow_average_precision(scores, labels, num_positives)
    assert average_precision(scores, labels, num_positives) == pytest.approx(
        expected, abs=1e-12
    )


def test_the_order_of_the_candidates_does_not_matter_without_ties():
    rng = np.random.default_rng(0)
    scores, labels = rng.random(50), rng.random(50) < 0.3
    order = rng.permutation(50)
    assert average_precision(scores[order], labels[order]) == (
        average_precision(scores, labels)
    )


def test_equal_scores_keep_the_order_they_are_given_in():
    scores = np.full(4, 0.5)
    assert average_precision(scores, np.array([1, 0, 0, 0])) == 1
    assert average_precision(scores, np.array([0, 0, 0, 1])) == 1 / 4


def test_positives_among_no_candidate_lower_the_average():
    scores, labels = np.array([0.9, 0.1]), np.array([1, 0])
    assert average_precision(scores, labels, num_positives=4) == 1 / 4


def test_no_candidate_gives_zero():
    assert average_precision(np.zeros(0), np.zeros(0, bool)) == 0
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0


def test_mean_average_precision_is_the_mean_over_classes_with_a_positive():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((60, 8)), rng.random((60, 8)) < 0.2
    labels[:, 3] = False
    expected = [
        slow_average_precision(scores[:, c], labels[:, c])
        for c in range(8)
        if c != 3
    ]
    assert mean_average_precision(scores, labels) == pytest.approx(
        sum(expected) / 7, abs=1e-12
    )


def test_mean_average_precision_without_positives_is_zero():
    assert mean_average_precision(np.ones((3, 2)), np.zeros((3, 2), bool)) == 0

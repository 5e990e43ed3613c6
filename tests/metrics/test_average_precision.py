"""Average precision against its definition."""

import numpy as np
import pytest

from distill.metrics.average_precision import (
    PrecisionCounters,
    average_precision,
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


def test_equal_scores_share_the_rank_of_the_last_of_them():
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.5])
    for place in range(1, 5):
        labels = np.arange(5) == place
        assert average_precision(scores, labels) == 1 / 5
    # 1 of 1 above, then 2 of 5 twice over.
    labels = np.array([1, 0, 1, 1, 0])
    expected = (1 + 2 * 3 / 5) / 3
    assert average_precision(scores, labels) == pytest.approx(expected)


def test_candidates_may_come_in_pieces():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 30, 200) / 30
    labels = rng.random(200) < 0.2
    counter = PrecisionCounters(scores[labels])
    for piece in np.array_split(scores[~labels], 7):
        counter.add(piece)
    num_positives = np.array([labels.sum()])
    expected = average_precision(scores, labels)
    assert counter.result(num_positives) == pytest.approx([expected])


def test_several_rankings_are_counted_beside_one_another():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 30, 400) / 30
    labels, rankings = rng.random(400) < 0.2, rng.integers(0, 5, 400)
    labels[rankings == 3] = False
    counters = PrecisionCounters(scores[labels], rankings[labels], 5)
    for index in (4, 0, 1, 2, 3):
        counters.add(scores[~labels & (rankings == index)], index)
    num_positives = np.bincount(rankings[labels], minlength=5)
    expected = [
        average_precision(scores[rankings == i], labels[rankings == i])
        for i in range(5)
    ]
    assert counters.result(num_positives) == pytest.approx(expected)
    assert expected[3] == 0 < min(expected[:3])


def test_positives_among_no_candidate_lower_the_average():
    scores, labels = np.array([0.9, 0.1]), np.array([1, 0])
    assert average_precision(scores, labels, num_positives=4) == 1 / 4


def test_no_candidate_gives_zero():
    assert average_precision(np.zeros(0), np.zeros(0, bool)) == 0
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0

"""Average precision against its definition."""

import numpy as np
import pytest

from distill.metrics.average_precision import PrecisionCounters, gap_and_map
from tests import plain_metrics


def average_precision(scores, labels, num_positives=None):
    labels = labels.astype(bool)
    rankings = np.zeros(labels.sum(), int)
    counters = PrecisionCounters(scores[labels], rankings, 1)
    counters.add(scores[~labels], 0)
    return counters.result(np.array([num_positives or labels.sum()]))[0]


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
    scores, labels = np.array([0.9, 0.7, 0.4, 0.2]), np.array(labels)
    assert average_precision(scores, labels) == pytest.approx(expected)
    order = [2, 0, 3, 1]
    assert average_precision(scores[order], labels[order]) == (
        average_precision(scores, labels)
    )


@pytest.mark.parametrize("levels", [10, 10**9])
@pytest.mark.parametrize("num_positives", [None, 40])
def test_average_precision_is_its_definition(num_positives, levels):
    """With and without equal scores."""
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, levels, 200), rng.random(200) < 0.1
    pairs = zip(scores, labels, strict=True)
    expected = plain_metrics.average_precision(pairs, num_positives)
    assert average_precision(scores, labels, num_positives) == pytest.approx(
        expected, abs=1e-12
    )


def test_equal_scores_share_the_rank_of_the_last_of_them():
    scores, labels = np.array([0.9, 0.5, 0.5, 0.5, 0.5]), [1, 0, 1, 1, 0]
    # 1 of 1 above, then 2 of 5 twice over.
    expected = (1 + 2 * 3 / 5) / 3
    found = average_precision(scores, np.array(labels))
    assert found == pytest.approx(expected)


def test_rankings_are_counted_in_pieces_and_beside_one_another():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 30, 400) / 30
    labels, rankings = rng.random(400) < 0.2, rng.integers(0, 5, 400)
    labels[rankings == 3] = False
    counters = PrecisionCounters(scores[labels], rankings[labels], 5)
    for index in (4, 0, 1, 2, 3):
        others = scores[~labels & (rankings == index)]
        for piece in np.array_split(others, 3):
            counters.add(piece, index)
    num_positives = np.bincount(rankings[labels], minlength=5)
    expected = [
        average_precision(scores[rankings == i], labels[rankings == i])
        for i in range(5)
    ]
    assert counters.result(num_positives) == pytest.approx(expected)
    assert expected[3] == 0 < min(expected[:3])
    others = [
        (scores[part][~labels[part]], rankings[part][~labels[part]])
        for part in (slice(150), slice(150, 400))
    ]
    pooled, mean = gap_and_map(
        scores[labels], rankings[labels], others, num_positives
    )
    assert pooled == pytest.approx(average_precision(scores, labels))
    assert mean == pytest.approx(np.mean(np.delete(expected, 3)))


def test_positives_that_are_no_candidates_lower_the_average():
    scores, labels = np.array([0.9, 0.1]), np.array([1, 0])
    assert average_precision(scores, labels, num_positives=4) == 1 / 4
    assert average_precision(np.zeros(0), np.zeros(0, bool)) == 0
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0

"""Gathered metrics against their definitions and the starter code."""

import itertools

import numpy as np
import pytest

from distill.metrics import accumulator
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.score_store import ScoreStore
from tests.golden import load_golden_metrics

NAMES = {
    "gap",
    "hit_at_one",
    "perr",
    "mean_average_precision",
    "mean_average_precision_at_k",
}


def make_videos(num_videos=60, num_classes=9, seed=0):
    """Returns scores without ties and labels; class 4 has no positive."""
    rng = np.random.default_rng(seed)
    predictions = rng.random((num_videos, num_classes), dtype=np.float32)
    labels = rng.random((num_videos, num_classes)) < 0.25
    labels[0] = False
    labels[:, 4] = False
    return predictions, labels


def gather(predictions, labels, *, top_k=20, batch_size=16):
    metrics = VideoMetrics(top_k)
    for start in range(0, len(labels), batch_size):
        part = slice(start, start + batch_size)
        metrics.update(predictions[part], labels[part])
    return metrics


def slow_average_precision(candidates, num_positives):
    hits, rank, total = 0, 0, 0.0
    ranked = sorted(candidates, key=lambda pair: -pair[0])
    for _, group in itertools.groupby(ranked, key=lambda pair: pair[0]):
        labels = [label for _, label in group]
        hits, rank = hits + sum(labels), rank + len(labels)
        total += sum(labels) * hits / rank
    return total / num_positives


def slow_metrics(predictions, labels, top_k):
    """Goes by the definitions, in plain Python."""
    hits, precisions, pooled = [], [], []
    num_classes = len(labels[0])
    by_class = [[] for _ in range(num_classes)]
    for scores, row in zip(predictions.tolist(), labels.tolist(), strict=True):
        ranked = sorted(range(num_classes), key=lambda c: -scores[c])
        count = sum(row)
        hits.append(row[ranked[0]])
        found = sum(row[c] for c in ranked[:count])
        precisions.append(found / count if count else 0.0)
        for c in ranked[:top_k]:
            pooled.append((scores[c], row[c]))
            by_class[c].append((scores[c], row[c]))
    positives = labels.sum(axis=0).tolist()
    held = [c for c in range(num_classes) if positives[c]]
    exact = [
        slow_average_precision(
            list(zip(predictions[:, c], labels[:, c], strict=True)),
            positives[c],
        )
        for c in held
    ]
    at_k = [slow_average_precision(by_class[c], positives[c]) for c in held]
    return {
        "hit_at_one": sum(hits) / len(hits),
        "perr": sum(precisions) / len(precisions),
        "gap": slow_average_precision(pooled, sum(positives)),
        "mean_average_precision": sum(exact) / len(exact),
        "mean_average_precision_at_k": sum(at_k) / len(at_k),
    }


@pytest.mark.parametrize("top_k", [1, 3, 8, 9, 20])
def test_metrics_are_their_definitions(top_k):
    predictions, labels = make_videos()
    result = gather(predictions, labels, top_k=top_k).result()
    assert result == pytest.approx(
        slow_metrics(predictions, labels, top_k), abs=1e-9
    )


@pytest.mark.parametrize("levels", [2, 5, 40])
@pytest.mark.parametrize("top_k", [1, 3, 20])
def test_metrics_of_tied_scores_are_their_definitions(levels, top_k):
    predictions, labels = make_videos(num_videos=50, num_classes=130)
    predictions = np.round(predictions * levels) / np.float32(levels)
    result = gather(predictions, labels, top_k=top_k).result()
    assert result == pytest.approx(
        slow_metrics(predictions, labels, top_k), abs=1e-9
    )


@pytest.mark.parametrize("cuts", [(), (20, 41)])
def test_scores_in_a_temporary_file_give_the_same_metrics(monkeypatch, cuts):
    predictions, labels = make_videos(num_videos=300, num_classes=50)
    expected = gather(predictions, labels, top_k=3).result()
    monkeypatch.setattr(
        accumulator, "ScoreStore", lambda: ScoreStore(megabytes=0.006)
    )
    metrics = VideoMetrics(3)
    for scores, truth in zip(
        np.split(predictions, cuts), np.split(labels, cuts), strict=True
    ):
        metrics.merge(gather(scores, truth, top_k=3, batch_size=7))
    assert metrics.result() == pytest.approx(expected, abs=1e-12)


def test_without_exact_map_the_others_are_the_same():
    predictions, labels = make_videos()
    metrics = VideoMetrics(3, exact_map=False)
    metrics.update(predictions, labels)
    expected = gather(predictions, labels, top_k=3).result()
    del expected["mean_average_precision"]
    assert metrics.result() == pytest.approx(expected, abs=1e-12)


def test_gap_of_two_hand_made_videos():
    """Ranked: 0.9 true, 0.8 false, 0.7 true, 0.6 false; 3 positives."""
    metrics = VideoMetrics(top_k=2)
    metrics.update(
        np.array([[0.9, 0.6, 0.1], [0.8, 0.7, 0.2]]),
        np.array([[1, 0, 1], [0, 1, 0]], bool),
    )
    assert metrics.result()["gap"] == pytest.approx((1 + 2 / 3) / 3)


@pytest.mark.parametrize("batch_size", [50, 64, 1000])
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("metrics_small", 1e-6), ("metrics_wide", 1e-6), ("metrics_ties", 0.01)],
)
def test_golden_metrics_are_reproduced(name, tolerance, batch_size):
    golden = load_golden_metrics(name)
    expected = golden.expected
    result = gather(
        golden.predictions,
        golden.labels,
        top_k=expected["top_k"],
        batch_size=batch_size,
    ).result()
    assert {
        "hit_at_one": result["hit_at_one"],
        "perr": result["perr"],
        "gap": result["gap"],
        # The starter code ranks each video's top classes alone.
        "mean_average_precision": result["mean_average_precision_at_k"],
    } == pytest.approx(
        {
            key: expected[key]
            for key in ("hit_at_one", "perr", "gap", "mean_average_precision")
        },
        abs=tolerance,
    )


def test_with_every_class_among_the_top_both_map_are_equal():
    result = gather(*make_videos(), top_k=9).result()
    assert result["mean_average_precision_at_k"] == pytest.approx(
        result["mean_average_precision"], abs=1e-12
    )


@pytest.mark.parametrize("cuts", [(1, 59), (20, 40), (7, 8)])
def test_merged_parts_equal_the_whole(cuts):
    predictions, labels = make_videos()
    parts = [
        gather(scores, truth, top_k=3)
        for scores, truth in zip(
            np.split(predictions, cuts), np.split(labels, cuts), strict=True
        )
    ]
    merged = VideoMetrics(3)
    for part in parts:
        merged.merge(part)
    whole = gather(predictions, labels, top_k=3)
    assert merged.num_videos == whole.num_videos == 60
    assert merged.result() == pytest.approx(whole.result(), abs=1e-12)


def test_merging_an_empty_one_changes_nothing():
    metrics = gather(*make_videos(), top_k=3)
    before = metrics.result()
    metrics.merge(VideoMetrics(3))
    assert metrics.result() == before


def test_an_empty_one_takes_over_what_it_is_merged_with():
    metrics = gather(*make_videos(), top_k=3)
    empty = VideoMetrics(3)
    empty.merge(metrics)
    assert empty.result() == metrics.result()


def test_merging_leaves_the_other_one_as_it_was():
    predictions, labels = make_videos()
    other = gather(predictions[:30], labels[:30])
    before = other.result()
    metrics = VideoMetrics()
    metrics.merge(other)
    metrics.update(predictions[30:], labels[30:])
    assert other.num_videos == 30
    assert other.result() == before


def test_the_order_of_the_batches_does_not_matter():
    predictions, labels = make_videos()
    order = np.random.default_rng(1).permutation(60)
    straight = gather(predictions, labels, top_k=3).result()
    mixed = gather(predictions[order], labels[order], top_k=3, batch_size=7)
    assert mixed.result() == pytest.approx(straight, abs=1e-12)


def test_without_videos_every_metric_is_zero():
    assert VideoMetrics().result() == dict.fromkeys(NAMES, 0.0)


def test_without_a_single_label_every_metric_is_zero():
    predictions, labels = make_videos()
    result = gather(predictions, np.zeros_like(labels)).result()
    assert result == dict.fromkeys(NAMES, 0.0)


def test_result_may_be_asked_for_between_batches():
    predictions, labels = make_videos()
    metrics = gather(predictions[:30], labels[:30])
    metrics.result()
    metrics.update(predictions[30:], labels[30:])
    whole = gather(predictions, labels)
    assert metrics.result() == pytest.approx(whole.result(), abs=1e-12)


def test_predictions_and_labels_of_different_shapes_are_an_error():
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3\) and \(2, 4"):
        VideoMetrics().update(np.zeros((2, 3)), np.zeros((2, 4), bool))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_is_an_error(value):
    predictions, labels = make_videos()
    predictions[3, 2] = value
    with pytest.raises(ValueError, match="prediction is not finite"):
        VideoMetrics().update(predictions, labels)


def test_top_k_below_one_is_an_error():
    with pytest.raises(ValueError, match="top_k must be 1 or more, got 0"):
        VideoMetrics(0)

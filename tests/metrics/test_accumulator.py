"""Gathered metrics against their definitions and the starter code."""

import numpy as np
import pytest

from distill.metrics import accumulator
from distill.metrics.accumulator import VideoMetrics
from distill.metrics.score_store import ScoreStore
from tests import plain_metrics
from tests.golden import load_golden_metrics


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


def expected_metrics(predictions, labels, top_k):
    rankings = dict(enumerate(map(plain_metrics.rank, predictions)))
    truth = {i: set(np.flatnonzero(row)) for i, row in enumerate(labels)}
    expected = plain_metrics.score_videos(rankings, truth, top_k)
    return pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("levels", [None, 2, 5, 40])
@pytest.mark.parametrize("top_k", [1, 3, 129, 130, 200])
def test_metrics_are_their_definitions(levels, top_k):
    """Without ties of scores, and with few or many."""
    predictions, labels = make_videos(num_videos=50, num_classes=130)
    if levels is not None:
        predictions = np.round(predictions * levels) / np.float32(levels)
    result = gather(predictions, labels, top_k=top_k).result()
    assert result == expected_metrics(predictions, labels, top_k)


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


@pytest.mark.parametrize("batch_size", [50, 64, 1000])
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("metrics_small", 1e-6), ("metrics_wide", 1e-6), ("metrics_ties", 0.01)],
)
def test_golden_metrics_are_reproduced(name, tolerance, batch_size):
    golden = load_golden_metrics(name)
    result = gather(
        golden.predictions,
        golden.labels,
        top_k=golden.expected["top_k"],
        batch_size=batch_size,
    ).result()
    # The starter code ranks each video's top classes alone.
    result["mean_average_precision"] = result.pop("mean_average_precision_at_k")
    expected = {name: golden.expected[name] for name in result}
    assert result == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("cuts", [(1, 59), (20, 40), (7, 8), (0, 60)], ids=str)
def test_merged_metrics_equal_those_of_the_whole(cuts):
    """With empty metrics at both ends; merging does not change the other."""
    predictions, labels = make_videos()
    parts = [
        gather(scores, truth, top_k=3)
        for scores, truth in zip(
            np.split(predictions, cuts), np.split(labels, cuts), strict=True
        )
    ]
    before = [part.result() for part in parts]
    merged = VideoMetrics(3)
    for part in parts:
        merged.merge(part)
    whole = gather(predictions, labels, top_k=3)
    assert merged.num_videos == whole.num_videos == 60
    assert merged.result() == pytest.approx(whole.result(), abs=1e-12)
    assert [part.result() for part in parts] == before


def test_without_videos_or_labels_every_metric_is_zero():
    predictions, labels = make_videos()
    zeros = dict.fromkeys(gather(predictions, labels).result(), 0.0)
    assert VideoMetrics().result() == zeros
    assert gather(predictions, np.zeros_like(labels)).result() == zeros


def test_wrong_arguments_are_errors():
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3\) and \(2, 4"):
        VideoMetrics().update(np.zeros((2, 3)), np.zeros((2, 4), bool))
    with pytest.raises(ValueError, match="top_k must be 1 or more, got 0"):
        VideoMetrics(0)
    predictions, labels = make_videos()
    for value in (np.nan, np.inf):
        predictions[3, 2] = value
        with pytest.raises(ValueError, match="prediction is not finite"):
            VideoMetrics().update(predictions, labels)

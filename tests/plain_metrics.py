"""The metrics of rankings in plain Python, independent of the toolkit's."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

Ranking = Sequence[tuple[int, float]]


def rank(scores: Iterable[float]) -> Ranking:
    """Returns (class, score) of all classes, best first."""
    pairs = enumerate(map(float, scores))
    return sorted(pairs, key=lambda pair: -pair[1])


def score_videos(
    rankings: Mapping[Any, Ranking],
    labels: Mapping[Any, Collection[int]],
    top_k: int,
) -> dict[str, float]:
    """Returns GAP, Hit@1, PERR, mAP and mAP at k of ranked classes by video."""
    assert rankings.keys() == labels.keys()
    hits, precisions = [], []
    for video, ranking in rankings.items():
        classes, true = [index for index, _ in ranking], set(labels[video])
        hits.append(classes[0] in true)
        found = set(classes[: len(true)]) & true
        precisions.append(len(found) / max(len(true), 1))
    cut = {video: ranking[:top_k] for video, ranking in rankings.items()}
    pool = [pair for pairs in _pairs(cut, labels).values() for pair in pairs]
    return {
        "gap": average_precision(pool, sum(map(len, labels.values()))),
        "hit_at_one": mean(hits),
        "perr": mean(precisions),
        "mean_average_precision": mean_average_precision(rankings, labels),
        "mean_average_precision_at_k": mean_average_precision(cut, labels),
    }


def _pairs(rankings, labels):
    """Returns by class the (score, hit) of every video that lists it."""
    pairs = {}
    for video, ranking in rankings.items():
        for index, score in ranking:
            pairs.setdefault(index, []).append((score, index in labels[video]))
    return pairs


def mean_average_precision(
    rankings: Mapping[str, Ranking], labels: Mapping[str, Collection[int]]
) -> float:
    """Returns the mean average precision of the classes that occur."""
    pairs = _pairs(rankings, labels)
    true = [index for classes in labels.values() for index in classes]
    return mean(
        [
            average_precision(pairs.get(index, []), true.count(index))
            for index in set(true)
        ]
    )


def average_precision(
    pool: Iterable[tuple[float, bool]], num_positives: int | None = None
) -> float:
    """Returns the sum of precisions at the hits over the positives.

    Candidates of equal score share the rank of the last of them.
    """
    found, rank, total = 0, 0, 0.0
    ordered = sorted(pool, key=lambda pair: -pair[0])
    for _, group in itertools.groupby(ordered, key=lambda pair: pair[0]):
        hits = [hit for _, hit in group]
        found, rank = found + sum(hits), rank + len(hits)
        total += sum(hits) * found / rank
    return total / (num_positives or found or 1)


def cross_entropy(
    rankings: Mapping[str, Ranking], labels: Mapping[str, Collection[int]]
) -> float:
    """Returns the videos' mean of the loss summed over classes."""
    total = 0.0
    for video, ranking in rankings.items():
        for index, score in ranking:
            right = score if index in labels[video] else 1 - score
            total -= math.log(right + 1e-5)
    return total / len(rankings)


def mean(values: Sequence[float]) -> float:
    """Returns the mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0

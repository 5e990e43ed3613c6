"""The metrics of a ranking in plain Python, to hold the toolkit's against."""

import math
from collections.abc import Mapping, Sequence

Ranking = Sequence[tuple[int, float]]


def rank(scores: Sequence[float]) -> Ranking:
    """Returns (class, score) of all classes, best first."""
    pairs = enumerate(map(float, scores))
    return sorted(pairs, key=lambda pair: -pair[1])


def score_videos(
    rankings: Mapping[str, Ranking], labels: Mapping[str, set[int]], top_k: int
) -> dict[str, float]:
    """Returns GAP, Hit@1, PERR and mAP.

    Args:
      rankings: All classes with their scores, best first, by video.
      labels: The true classes by video.
      top_k: Classes a video that enter GAP.
    """
    assert rankings.keys() == labels.keys()
    pool, hits, precisions = [], [], []
    for video, ranking in rankings.items():
        classes = [index for index, _ in ranking]
        true = labels[video]
        pool += [(score, index in true) for index, score in ranking[:top_k]]
        hits.append(classes[0] in true)
        found = set(classes[: len(true)]) & true
        precisions.append(len(found) / len(true))
    num_positives = sum(map(len, labels.values()))
    return {
        "gap": average_precision(pool, num_positives),
        "hit_at_one": mean(hits),
        "perr": mean(precisions),
        "mean_average_precision": mean_average_precision(rankings, labels),
    }


def mean_average_precision(
    rankings: Mapping[str, Ranking], labels: Mapping[str, set[int]]
) -> float:
    """Returns the mean average precision of the classes that occur."""
    results = []
    for index in set().union(*labels.values()):
        pool = [
            (dict(ranking)[index], index in labels[video])
            for video, ranking in rankings.items()
        ]
        positives = sum(hit for _, hit in pool)
        results.append(average_precision(pool, positives))
    return mean(results)


def average_precision(
    pool: list[tuple[float, bool]], num_positives: int
) -> float:
    """Returns the sum of precisions at the hits over the positives."""
    found, total = 0, 0.0
    ordered = sorted(pool, key=lambda pair: -pair[0])
    for position, (_, hit) in enumerate(ordered, start=1):
        if hit:
            found += 1
            total += found / position
    return total / num_positives


def cross_entropy(
    rankings: Mapping[str, Ranking], labels: Mapping[str, set[int]]
) -> float:
    """Returns the videos' mean of the loss summed over classes."""
    losses = []
    for video, ranking in rankings.items():
        terms = [
            math.log((score if index in labels[video] else 1 - score) + 1e-5)
            for index, score in ranking
        ]
        losses.append(-sum(terms))
    return mean(losses)


def mean(values: Sequence[float]) -> float:
    """Returns the mean."""
    return sum(values) / len(values)

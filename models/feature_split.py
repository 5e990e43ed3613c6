"""The features of a frame: cut from their joint vector, sized one by one."""

from collections.abc import Sequence


def check_feature_sizes(feature_sizes: Sequence[int], width: int) -> None:
    """Raises ValueError unless the features add up to `width`."""
    if sum(feature_sizes) != width:
        raise ValueError(
            "feature_sizes must add up to the width of the input "
            f"({width}), got {tuple(feature_sizes)}."
        )


def split_features(values, feature_sizes: Sequence[int]) -> list:
    """Cuts the last axis into the features, in order.

    Args:
      values: `[..., sum(feature_sizes)]`.
      feature_sizes: Width of every feature.

    Returns:
      One `[..., size]` per feature.
    """
    parts, start = [], 0
    for size in feature_sizes:
        parts.append(values[..., start : start + size])
        start += size
    return parts


def size_per_feature(sizes: list[int], num_features: int) -> list[int]:
    """Returns one size per feature; further features get the last one."""
    last = len(sizes) - 1
    return [sizes[min(index, last)] for index in range(num_features)]


def clusters_per_feature(
    num_clusters: int, num_features: int, divisor: int
) -> list[int]:
    """Returns the clusters of every feature.

    The first feature has all `num_clusters`, every later one that number over
    `divisor`, rounded down and at least 1.
    """
    later = max(1, num_clusters // divisor)
    return [num_clusters] + [later] * (num_features - 1)

"""A frame's features, cut out of the vector that joins them."""


def check_feature_sizes(feature_sizes: list[int], width: int) -> None:
    """Raises ValueError where the features do not fill a vector of `width`."""
    if sum(feature_sizes) != width:
        raise ValueError(
            "feature_sizes must add up to the width of the input "
            f"({width}), got {tuple(feature_sizes)}."
        )


def split_features(values, feature_sizes: list[int]) -> list:
    """Cuts the last axis into the features, in order.

    Args:
      values: `[..., sum(feature_sizes)]`.
      feature_sizes: Width of every feature.

    Returns:
      One `[..., size]` a feature.
    """
    parts, start = [], 0
    for size in feature_sizes:
        parts.append(values[..., start : start + size])
        start += size
    return parts

"""The features of a frame: cut from their joint vector, read one by one."""

from collections.abc import Sequence
from typing import Any

from keras import layers, ops

from distill.models.scaled_frames import ScaledFrames


def split_features(values, feature_sizes: Sequence[int]) -> list:
    """Cuts the last axis, `sum(feature_sizes)` wide, into the features."""
    if isinstance(values, ScaledFrames):
        fields = (split_features(field, feature_sizes) for field in values)
        return [ScaledFrames(*parts) for parts in zip(*fields, strict=True)]
    parts, start = [], 0
    for size in feature_sizes:
        parts.append(values[..., start : start + size])
        start += size
    return parts


def build_readers(
    readers: Sequence[layers.Layer],
    feature_sizes: Sequence[int],
    shape: Sequence[int | None],
) -> int:
    """Builds a layer for each feature of inputs of a shape.

    Returns:
      The width of all outputs end to end.

    Raises:
      ValueError: The features do not add up to the width of the inputs.
    """
    *outer, width = shape
    if sum(feature_sizes) != width:
        raise ValueError(
            "feature_sizes must add up to the width of the input "
            f"({width}), got {tuple(feature_sizes)}."
        )
    read_width = 0
    for reader, size in zip(readers, feature_sizes, strict=True):
        reader.build((*outer, size))
        read_width += reader.compute_output_shape((*outer, size))[-1]
    return read_width


def read_features(
    readers: Sequence[layers.Layer],
    feature_sizes: Sequence[int],
    values,
    *args: Any,
    training: bool,
):
    """Returns the outputs of each feature's layer end to end."""
    features = split_features(values, feature_sizes)
    outputs = [
        reader(feature, *args, training=training)
        for reader, feature in zip(readers, features, strict=True)
    ]
    return ops.concatenate(outputs, axis=-1)


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
    return size_per_feature([num_clusters, later], num_features)

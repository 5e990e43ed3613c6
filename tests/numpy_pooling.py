"""Pieces of the pooling models written out in NumPy, in float64."""

import keras
import numpy as np


def batch_norm(
    values: np.ndarray, layer: keras.layers.BatchNormalization
) -> np.ndarray:
    """Returns the values as a batch norm gives them outside training."""
    gamma, beta, mean, variance = (
        np.asarray(weight, np.float64) for weight in layer.get_weights()
    )
    return (values - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def normalized_dense(values: np.ndarray, layer: keras.Layer) -> np.ndarray:
    """Returns what a `NormalizedDense` gives outside training."""
    products = values @ np.asarray(layer.kernel, np.float64)
    if layer.norm is None:
        return products + np.asarray(layer.bias)
    return batch_norm(products, layer.norm)


def softmax(values: np.ndarray) -> np.ndarray:
    """Returns the softmax over the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def unit(values: np.ndarray) -> np.ndarray:
    """Returns a vector over its norm."""
    return values / np.linalg.norm(values)


def real_frames(frames: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Returns the real frames of every video, in float64."""
    return [
        video[real].astype(np.float64)
        for video, real in zip(frames, mask, strict=True)
    ]


def make_frames(
    batch_size: int, num_frames: int = 5, num_features: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Returns frames and their mask: from 1 frame to all of them."""
    rng = np.random.default_rng(1)
    frames = rng.normal(size=(batch_size, num_frames, num_features))
    lengths = 1 + np.arange(batch_size) % num_frames
    mask = np.arange(num_frames)[None, :] < lengths[:, None]
    return frames.astype(np.float32), mask


def make_inputs(
    lengths: list[int], num_frames: int, num_features: int
) -> dict[str, np.ndarray]:
    """Returns a model's inputs with garbage in the padding."""
    rng = np.random.default_rng(2)
    frames = rng.normal(size=(len(lengths), num_frames, num_features))
    return {
        "frames": frames.astype(np.float32),
        "num_frames": np.array(lengths, np.int32),
    }


def without_padding(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the same inputs with zeros in the padding."""
    frames = inputs["frames"].copy()
    for video, length in zip(frames, inputs["num_frames"], strict=True):
        video[length:] = 0
    return inputs | {"frames": frames}

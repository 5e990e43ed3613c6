"""Batches of random videos, and models built to read them."""

import keras
import numpy as np

from tests.layer_checks import randomise_weights


def make_videos(max_frames: int, num_features: int) -> dict[str, np.ndarray]:
    """Returns a video of each length from 0 to `max_frames`.

    What lies at or beyond `num_frames` is not zero but random as well.
    """
    rng = np.random.default_rng(1)
    num_frames = np.arange(max_frames + 1, dtype=np.int32)
    frames = rng.normal(size=(max_frames + 1, max_frames, num_features))
    return {"frames": frames.astype(np.float32), "num_frames": num_frames}


def real_frames(videos: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Returns the real frames of each video, `[num_frames, features]`."""
    pairs = zip(videos["frames"], videos["num_frames"], strict=True)
    return [frames[:count].astype(np.float64) for frames, count in pairs]


def build_for_frames(model: keras.Model, num_features: int) -> keras.Model:
    """Builds a frame-level model with random weights."""
    shape = (None, None, num_features)
    model.build({"frames": shape, "num_frames": (None,)})
    randomise_weights(model)
    return model


def dense_relu(values: np.ndarray, dense: keras.layers.Dense) -> np.ndarray:
    """Returns what a dense layer with ReLU makes of values."""
    kernel, bias = dense.get_weights()
    return np.maximum(values @ kernel + bias, 0)

"""Seeded random inputs, and models built to read them."""

import keras
import numpy as np

from distill.models.logistic import Logistic
from tests.layer_checks import randomise_weights

CLASSES = 4


def make_vectors(batch_size: int, dim: int = 6) -> tuple[np.ndarray]:
    """Returns the inputs of a layer that reads `[batch, dim]`."""
    rng = np.random.default_rng(1)
    return (rng.normal(size=(batch_size, dim)).astype(np.float32),)


def make_sequences(
    batch_size: int, max_frames: int = 5, num_features: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Returns frames and the number of real ones: all of them, then fewer."""
    rng = np.random.default_rng(1)
    frames = rng.normal(size=(batch_size, max_frames, num_features))
    lengths = max_frames - np.arange(batch_size, dtype=np.int32) % max_frames
    return frames.astype(np.float32), lengths


def make_frames(
    batch_size: int, num_frames: int = 5, num_features: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Returns frames and their mask: from 1 real frame to all of them."""
    rng = np.random.default_rng(1)
    frames = rng.normal(size=(batch_size, num_frames, num_features))
    lengths = 1 + np.arange(batch_size) % num_frames
    mask = np.arange(num_frames)[None, :] < lengths[:, None]
    return frames.astype(np.float32), mask


def make_videos(max_frames: int, num_features: int) -> dict[str, np.ndarray]:
    """Returns a video of each length from 0 to `max_frames`.

    Padding, at or beyond `num_frames`, is not zero but random as well.
    """
    rng = np.random.default_rng(1)
    num_frames = np.arange(max_frames + 1, dtype=np.int32)
    frames = rng.normal(size=(max_frames + 1, max_frames, num_features))
    return {"frames": frames.astype(np.float32), "num_frames": num_frames}


def real_frames(videos: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Returns the real frames of each video, float64 `[frames, features]`."""
    pairs = zip(videos["frames"], videos["num_frames"], strict=True)
    return [frames[:count].astype(np.float64) for frames, count in pairs]


def make_model(
    model_class: type[keras.Model], classifier=None, **settings
) -> keras.Model:
    """Returns a model, not built yet.

    Args:
      model_class: Its class.
      classifier: Its classifier; logistic if none is given.
      **settings: Fields of its config, or `feature_sizes` and `max_frames`.
    """
    shapes = ("feature_sizes", "max_frames", "name")
    shape = {key: settings.pop(key) for key in shapes if key in settings}
    return model_class(
        classifier or Logistic(CLASSES, name="classifier"),
        model_class.config_class(**settings),
        **shape,
    )


def build_for_frames(model: keras.Model, num_features: int) -> keras.Model:
    """Builds a frame-level model with random weights."""
    shape = (None, None, num_features)
    model.build({"frames": shape, "num_frames": (None,)})
    randomise_weights(model)
    return model


def assert_classified(model, outputs, embedding, atol: float = 1e-5) -> None:
    """Compares a model's outputs with an embedding from NumPy.

    The predictions are those of a logistic classifier.
    """
    kernel, bias = model.classifier.get_weights()
    expected = 1 / (1 + np.exp(-(np.asarray(embedding) @ kernel + bias)))
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=atol)
    np.testing.assert_allclose(outputs["predictions"], expected, atol=atol)

"""A model for Keras's `fit`: arrays in, probabilities out, saved and loaded."""

import keras
import numpy as np
import pytest

from distill.models.array_model import build_model

SIZES = {"num_classes": 3, "feature_sizes": (4, 2), "max_frames": 7}


@pytest.fixture(scope="module")
def videos():
    """Returns frames whose mean names the class, counts and labels."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 60)
    frames = random.normal(size=(60, 7, 6)) + np.eye(6)[labels][:, None] * 2
    counts = random.integers(1, 8, 60)
    return frames.astype(np.float32), counts, np.eye(3)[labels]


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("FrameLevelLogisticModel", {}),
        ("GruModel", {"gru_cells": 4, "gru_layers": 1}),
    ],
)
def test_a_model_fits_and_is_saved(name, sizes, videos, tmp_path):
    frames, counts, labels = videos
    model = build_model(name, **SIZES, **sizes)
    model.compile(
        keras.optimizers.Adam(0.05),
        "binary_crossentropy",
        metrics=["categorical_accuracy"],
    )
    inputs = {"frames": frames, "num_frames": counts}
    model.fit(inputs, labels, epochs=30, batch_size=20, verbose=0)
    _, accuracy = model.evaluate(inputs, labels, verbose=0)
    assert accuracy > 0.8
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(inputs, verbose=0)
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)
    # Frames at or beyond a video's count are padding.
    real = np.arange(7)[:, None] < counts[:, None, None]
    spoiled = inputs | {"frames": np.where(real, frames, 9)}
    found = model.predict(spoiled, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_plain_arrays_are_videos_without_padding(videos):
    frames, counts, _ = videos
    model = build_model("FrameLevelLogisticModel", **SIZES)
    whole = {"frames": frames, "num_frames": np.full_like(counts, 7)}
    np.testing.assert_allclose(
        model.predict(frames, verbose=0),
        model.predict(whole, verbose=0),
        rtol=1e-6,
    )
    vectors = build_model("LogisticModel", **SIZES)
    kernel, bias = vectors.get_weights()
    logits = frames[:, 0] @ kernel + bias
    np.testing.assert_allclose(
        vectors.predict(frames[:, 0], verbose=0),
        1 / (1 + np.exp(-logits)),
        rtol=1e-5,
    )


def test_other_sizes_are_refused(videos):
    message = "Unknown size of GruModel 'lstm_cells'"
    with pytest.raises(ValueError, match=message):
        build_model("GruModel", **SIZES, lstm_cells=8)
    model = build_model("FrameLevelLogisticModel", **SIZES)
    with pytest.raises(ValueError, match="got 5 frames: pad shorter videos"):
        model(videos[0][:, :5])

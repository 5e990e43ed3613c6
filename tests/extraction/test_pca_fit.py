"""The fit of a PCA against NumPy's covariance of all frames at once."""

import tracemalloc

import numpy as np
import pytest

from distill.extraction.pca_fit import PcaFit


def draw_correlated(count=3_000, size=20, seed=0):
    """Returns frames whose numbers depend on each other, far from zero."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(size, size)) / (1 + np.arange(size))
    noise = random.normal(size=(count, size))
    return (noise @ mixing.T + 50).astype(np.float32)


def fit(batches, num_components):
    found = PcaFit(batches[0].shape[1], num_components)
    for batch in batches:
        found.add(batch)
    return found.finish()


def assert_is_pca_of(fitted, frames):
    """Checks a fit against the eigenvectors of `np.cov`, signs aside."""
    exact = frames.astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(exact.T))
    count = len(fitted.eigenvalues)
    np.testing.assert_allclose(fitted.mean, exact.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(
        fitted.eigenvalues, values[::-1][:count], rtol=1e-7
    )
    cosines = np.sum(fitted.vectors * vectors[:, ::-1][:, :count], axis=0)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-7)
    share = fitted.eigenvalues.sum() / values.sum()
    assert fitted.explained == pytest.approx(share)


@pytest.mark.parametrize("num_components", [1, 7, 20])
@pytest.mark.parametrize("size", [1, 700, 3_000])
def test_batches_give_the_pca_of_all_frames(size, num_components):
    frames = draw_correlated()
    batches = [frames[at : at + size] for at in range(0, len(frames), size)]
    fitted = fit(batches, num_components)
    assert_is_pca_of(fitted, frames)
    peaks = np.abs(fitted.vectors).argmax(axis=0)
    assert (fitted.vectors[peaks, range(num_components)] > 0).all()


def test_whitened_frames_have_variance_one_and_no_covariance():
    frames = draw_correlated()
    fitted = fit([frames], 5)
    projected = (frames - fitted.mean) @ fitted.vectors
    whitened = projected / np.sqrt(fitted.eigenvalues)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(5), atol=1e-5)


def test_eigenvalues_of_directions_without_variance_are_not_negative():
    frames = draw_correlated()
    doubled = np.hstack([frames, frames])
    fitted = fit([doubled], 40)
    assert fitted.eigenvalues.min() >= 0
    assert fitted.eigenvalues[20:].max() < 1e-9 * fitted.eigenvalues[0]
    assert fitted.explained == pytest.approx(1)


def test_memory_does_not_grow_with_the_frames():
    batch, found = draw_correlated(500, 50), PcaFit(50, 4)
    found.add(batch)
    tracemalloc.start()
    for _ in range(200):
        found.add(batch)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.num_frames == 100_500
    assert held < 100_000
    assert most < 10 * batch.nbytes


@pytest.mark.parametrize(
    ("frames", "num_components", "message"),
    [
        (draw_correlated(9), 21, "num_components must be from 1 to 20"),
        (draw_correlated(7), 7, "7 components need more than 7 frames, got 7"),
        (np.ones((30, 20)), 2, "All frames are equal"),
    ],
)
def test_frames_that_have_no_such_pca_are_refused(
    frames, num_components, message
):
    with pytest.raises(ValueError, match=message):
        fit([frames], num_components)

"""A matrix with batch norm or bias, against NumPy."""

import numpy as np
import pytest

from distill.models.normalized_dense import NormalizedDense
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_layers import normalized_dense
from tests.videos import make_frames


@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_normalized_dense_passes_the_layer_checks(add_batch_norm):
    def make_layer():
        return NormalizedDense(4, add_batch_norm, stddev=0.1)

    check_layer(make_layer, make_frames)
    check_layer(make_layer, lambda size: (make_frames(size)[0][:, 0],))


@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_outputs_are_normalised_products_or_have_a_bias(add_batch_norm):
    layer = NormalizedDense(4, add_batch_norm)
    frames, _ = make_frames(3)
    layer(frames)
    randomise_weights(layer)
    np.testing.assert_allclose(
        layer(frames),
        normalized_dense(frames.astype(np.float64), layer),
        atol=1e-5,
    )


def test_statistics_are_those_of_the_real_frames():
    layer = NormalizedDense(4)
    frames, mask = make_frames(4)
    layer.build(frames.shape)
    randomise_weights(layer)
    layer.norm.moving_mean.assign(np.zeros(4))
    layer.norm.moving_variance.assign(np.zeros(4))
    layer(frames, mask, training=True)
    real = frames[mask].astype(np.float64) @ np.asarray(layer.kernel)
    weight = 1 - layer.norm.momentum
    np.testing.assert_allclose(
        layer.norm.moving_mean, weight * real.mean(0), atol=1e-6
    )
    np.testing.assert_allclose(
        layer.norm.moving_variance, weight * real.var(0), atol=1e-6
    )


def test_one_unit_trains_with_a_mask():
    """Keras drops the axis of a single unit from masked statistics."""
    layer = NormalizedDense(1)
    outputs = layer(*make_frames(4), training=True)
    assert outputs.shape == (4, 5, 1)
    assert layer.norm.moving_mean.shape == (1,)


@pytest.mark.parametrize(("stddev", "expected"), [(None, 0.05), (0.5, 0.5)])
def test_the_initial_matrix_has_the_deviation_asked_for(stddev, expected):
    layer = NormalizedDense(200, stddev=stddev)
    layer.build((None, 400))
    assert np.std(layer.kernel) == pytest.approx(expected, rel=0.02)

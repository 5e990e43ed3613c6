"""The NeXtVLAD pooling layer against NumPy."""

import numpy as np
import pytest

from distill.models.nextvlad import NeXtVlad
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_lstm import sigmoid
from tests.videos import make_videos, real_frames

FRAMES, FEATURES = 5, 6


def make_inputs(batch_size):
    videos = make_videos(FRAMES, FEATURES)
    lengths = FRAMES - np.arange(batch_size, dtype=np.int32) % FRAMES
    return videos["frames"][:batch_size], lengths


def make_built(clusters=3, groups=4, expansion=2):
    layer = NeXtVlad(clusters, groups, expansion)
    layer.build((None, None, FEATURES))
    randomise_weights(layer)
    return layer


def normalise(values, norm):
    gamma, beta, mean, variance = norm.get_weights()
    return (values - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def softmax(values):
    exponentials = np.exp(values - values.max())
    return exponentials / exponentials.sum()


def numpy_pool(frames, layer):
    """Returns one video's pooled vector, frame by frame, group by group."""
    kernel, bias = layer.expand.get_weights()
    centres = np.asarray(layer.centres)
    pooled = np.zeros_like(centres, np.float64)
    for frame in frames @ kernel + bias:
        to_group, group_bias = layer.attention.get_weights()
        attention = sigmoid(frame @ to_group + group_bias)
        scores = frame @ np.asarray(layer.assignment_kernel)
        scores = normalise(scores, layer.assignment_norm)
        parts = np.split(frame, layer.groups)
        for group, scored in enumerate(np.split(scores, layer.groups)):
            shares = attention[group] * softmax(scored)
            pooled += shares[:, None] * (parts[group] - centres)
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    pooled = pooled / np.maximum(norms, 1e-6)
    return normalise(pooled.T.reshape(-1), layer.norm)


@pytest.mark.parametrize("sizes", [(3, 4, 2), (2, 1, 1)])
def test_nextvlad_passes_the_layer_checks(sizes):
    check_layer(lambda: NeXtVlad(*sizes), make_inputs)


@pytest.mark.parametrize("sizes", [(3, 4, 2), (2, 1, 1), (2, 6, 3)])
def test_residuals_of_the_groups_are_summed_over_the_real_frames(sizes):
    layer, videos = make_built(*sizes), make_videos(FRAMES, FEATURES)
    expected = [numpy_pool(real, layer) for real in real_frames(videos)]
    np.testing.assert_allclose(layer(*videos.values()), expected, atol=1e-4)


def test_padding_has_no_effect_on_a_training_step():
    layer, videos = make_built(), make_videos(FRAMES, FEATURES)
    garbage = videos["frames"].copy()
    for frames, count in zip(garbage, videos["num_frames"], strict=True):
        frames[count:] = 100.0
    clean = layer(*videos.values(), training=True)
    statistics = layer.assignment_norm.get_weights()
    layer_again = make_built()
    dirty = layer_again(garbage, videos["num_frames"], training=True)
    np.testing.assert_allclose(dirty, clean, atol=1e-4)
    for again, first in zip(
        layer_again.assignment_norm.get_weights(), statistics, strict=True
    ):
        np.testing.assert_allclose(again, first, atol=1e-6)


def test_macs_are_those_of_the_matrix_products():
    per_frame = 6 * 12 + 12 * 4 + 12 * (4 * 3) + 12 * 3
    assert make_built().macs(7) == 7 * per_frame


def test_groups_that_do_not_divide_the_width_are_an_error():
    message = r"^nextvlad_groups must divide .* \(2 \* 6\), got 5\.$"
    with pytest.raises(ValueError, match=message):
        make_built(groups=5)


@pytest.mark.parametrize(
    ("argument", "sizes"),
    [
        ("nextvlad_cluster_size", (0, 4, 2)),
        ("nextvlad_groups", (3, 0, 2)),
        ("nextvlad_expansion", (3, 4, 0)),
    ],
)
def test_a_size_below_one_is_an_error(argument, sizes):
    with pytest.raises(ValueError, match=f"^{argument} must be 1 or more"):
        NeXtVlad(*sizes)

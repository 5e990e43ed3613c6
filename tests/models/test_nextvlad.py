"""NeXtVLAD's pooling and network against NumPy."""

import numpy as np
import pytest

from distill.models.nextvlad import NeXtVlad, NeXtVladModel
from tests.layer_checks import (
    check_frame_model,
    check_layer,
    randomise_weights,
)
from tests.numpy_layers import batch_norm, sigmoid, softmax
from tests.videos import (
    assert_classified,
    build_for_frames,
    make_model,
    make_sequences,
    make_videos,
    real_frames,
)

FRAMES, FEATURES = 5, 6
SIZES = {
    "feature_sizes": (4, 2),
    "cluster_size": 4,
    "groups": 2,
    "hidden_size": 12,
    "gating_reduction": 2,
}


def make_pool(clusters=3, groups=4, expansion=2):
    layer = NeXtVlad(clusters, groups, expansion)
    layer.build((None, None, FEATURES))
    randomise_weights(layer)
    return layer


def make_network(**settings):
    return make_model(NeXtVladModel, **SIZES | settings)


def numpy_pool(frames, layer):
    """Returns one video's pooled vector, frame by frame, group by group."""
    kernel, bias = layer.expand.get_weights()
    to_group, group_bias = layer.attention.get_weights()
    centres = np.asarray(layer.centres)
    pooled = np.zeros_like(centres, np.float64)
    for frame in frames @ kernel + bias:
        attention = sigmoid(frame @ to_group + group_bias)
        scores = frame @ np.asarray(layer.assignment_kernel)
        scores = batch_norm(scores, layer.assignment_norm)
        values = np.split(frame, layer.groups)
        for group, scored in enumerate(np.split(scores, layer.groups)):
            assigned = attention[group] * softmax(scored)
            pooled += assigned[:, None] * (values[group] - centres)
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    pooled = pooled / np.maximum(norms, 1e-6)
    return batch_norm(pooled.T.reshape(-1), layer.norm)


@pytest.mark.parametrize("sizes", [(3, 4, 2), (2, 1, 1)])
def test_nextvlad_passes_the_layer_checks(sizes):
    check_layer(lambda: NeXtVlad(*sizes), make_sequences)


@pytest.mark.parametrize("sizes", [(3, 4, 2), (2, 1, 1), (2, 6, 3)])
def test_residuals_of_the_groups_are_summed_over_the_real_frames(sizes):
    layer, videos = make_pool(*sizes), make_videos(FRAMES, FEATURES)
    expected = [numpy_pool(real, layer) for real in real_frames(videos)]
    np.testing.assert_allclose(layer(*videos.values()), expected, atol=1e-4)


def test_padding_has_no_effect_on_a_training_step():
    clean, dirty = make_pool(), make_pool()
    videos = make_videos(FRAMES, FEATURES)
    garbage = videos["frames"].copy()
    for frames, count in zip(garbage, videos["num_frames"], strict=True):
        frames[count:] = 100.0
    np.testing.assert_allclose(
        dirty(garbage, videos["num_frames"], training=True),
        clean(*videos.values(), training=True),
        atol=1e-4,
    )
    for one, other in zip(dirty.weights, clean.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6, err_msg=one.path)


@pytest.mark.parametrize(
    "settings",
    [{}, {"feature_sizes": (6,)}, {"feature_sizes": (3, 2, 1), "dropout": 0.1}],
    ids=["two features", "one feature", "three features"],
)
def test_nextvlad_model_passes_the_model_checks(settings):
    check_frame_model(lambda: make_network(**settings), FEATURES, FRAMES)


def test_later_features_have_half_the_clusters_and_groups():
    model = make_network(feature_sizes=(2, 2, 2), cluster_size=7, groups=1)
    assert [vlad.clusters for vlad in model.vlads] == [7, 3, 3]
    assert [vlad.groups for vlad in model.vlads] == [1, 1, 1]


@pytest.mark.parametrize("feature_sizes", [(6,), (4, 2), (2, 2, 2)])
def test_pooled_features_are_joined_normalised_and_gated(feature_sizes):
    model = make_network(feature_sizes=feature_sizes)
    build_for_frames(model, FEATURES)
    videos = make_videos(FRAMES, FEATURES)
    bounds = np.cumsum(feature_sizes)[:-1]
    features = np.split(videos["frames"], bounds, axis=2)
    pooled = [
        np.asarray(vlad(feature, videos["num_frames"]))
        for vlad, feature in zip(model.vlads, features, strict=True)
    ]
    (kernel,) = model.hidden.get_weights()
    hidden = np.concatenate(pooled, axis=1) @ kernel
    embedding = model.gating(batch_norm(hidden, model.hidden_norm))
    assert_classified(model, model(videos), embedding, atol=1e-4)


def test_groups_that_do_not_divide_the_width_are_an_error():
    message = r"^nextvlad_groups must divide .* \(2 \* 6\), got 5\.$"
    with pytest.raises(ValueError, match=message):
        make_pool(groups=5)

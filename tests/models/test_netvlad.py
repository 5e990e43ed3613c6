"""NetVLAD and NetRVLAD against NumPy and the reference code."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.netvlad import NetRVlad, NetVlad, NetVladModel
from tests.golden import count_mixtures, load_golden_model
from tests.golden_late_fusion import (
    assert_golden_predictions,
    build_and_load,
    feature_sizes,
    is_on,
)
from tests.layer_checks import (
    check_frame_model,
    check_layer,
    randomise_weights,
)
from tests.numpy_pooling import (
    make_frames,
    normalized_dense,
    real_frames,
    softmax,
    unit,
)

CLASSES, SIZES = 4, (3, 2)
SCOPES = ("video_VLAD", "audio_VLAD")


def make_model(**arguments):
    return NetVladModel(
        Logistic(CLASSES, name="classifier"),
        SIZES,
        **{"netvlad_cluster_size": 4, "netvlad_hidden_size": 5} | arguments,
    )


@pytest.mark.parametrize("pooling", [NetRVlad, NetVlad])
@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_pooling_passes_the_layer_checks(pooling, add_batch_norm):
    check_layer(lambda: pooling(4, add_batch_norm), make_frames)


@pytest.mark.parametrize("pooling", [NetRVlad, NetVlad])
@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_frames_are_summed_by_cluster_and_normalised(pooling, add_batch_norm):
    layer = pooling(4, add_batch_norm)
    frames, mask = make_frames(5)
    layer.build(frames.shape)
    randomise_weights(layer)
    centres = np.zeros((3, 4))
    if pooling is NetVlad:
        centres = np.asarray(layer.centres)
    expected = []
    for video in real_frames(frames, mask):
        shares = softmax(normalized_dense(video, layer.assignment))
        columns = []
        for k in range(4):
            differences = video - centres[:, k]
            columns.append(unit(shares[:, k] @ differences))
        expected.append(unit(np.stack(columns, axis=1)).ravel())
    np.testing.assert_allclose(layer(frames, mask), expected, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"lightvlad": True, "gating_remove_diag": True},
        {"netvlad_relu": True, "gating": False},
        {"netvlad_add_batch_norm": False, "netvlad_relu": True},
        {"sample_frames": 4},
    ],
    ids=["default", "NetRVLAD", "relu, no gating", "no batch norm", "sampled"],
)
def test_netvlad_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=sum(SIZES),
        max_frames=6,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize(
    "name", ["netvlad", "netrvlad", "netvlad_relu_nogating"]
)
def test_golden_predictions_are_reproduced(name):
    golden = load_golden_model(name)
    model = NetVladModel(
        MixtureOfExperts(
            golden.num_classes,
            count_mixtures(golden),
            moe_prob_gating=is_on(golden, "moe_prob_gating"),
        ),
        feature_sizes(golden, SCOPES),
        netvlad_cluster_size=int(golden.flags["netvlad_cluster_size"]),
        netvlad_hidden_size=int(golden.flags["netvlad_hidden_size"]),
        netvlad_relu=is_on(golden, "netvlad_relu"),
        lightvlad=is_on(golden, "lightvlad"),
        gating=is_on(golden, "gating"),
        mask_padding=False,
    )
    build_and_load(model, golden, SCOPES, {"cluster_weights2": "centres"})
    assert_golden_predictions(model, golden)


@pytest.mark.parametrize("lightvlad", [True, False])
def test_macs_count_assignment_sums_hidden_layer_and_gates(lightvlad):
    model = make_model(lightvlad=lightvlad)
    model.build({"frames": (None, 6, 5), "num_frames": (None,)})
    per_frame = 2 * (3 * 4 + 2 * 2)
    pooled = 3 * 4 + 2 * 2
    for num_frames in (1, 6):
        assert model.macs(num_frames) == (
            num_frames * per_frame + pooled * 5 + 5 * 5 + 5 * CLASSES
        )


@pytest.mark.parametrize(
    "name", ["netvlad_cluster_size", "netvlad_hidden_size"]
)
def test_no_cluster_or_no_hidden_value_is_an_error(name):
    with pytest.raises(ValueError, match=f"^{name} must be 1 or more, got 0"):
        make_model(**{name: 0})

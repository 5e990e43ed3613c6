"""NetFV against NumPy and the reference code."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.netfv import NetFv, NetFvModel
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
SCOPES = ("video_FV", "audio_FV")
VARIANTS = [
    {},
    {"couple_weights": True, "coupling_factor": 0.5},
    {"add_batch_norm": False},
]


def make_model(**arguments):
    return NetFvModel(
        Logistic(CLASSES, name="classifier"),
        SIZES,
        **{"fv_cluster_size": 4, "fv_hidden_size": 5} | arguments,
    )


@pytest.mark.parametrize("arguments", VARIANTS)
def test_netfv_passes_the_layer_checks(arguments):
    check_layer(lambda: NetFv(4, **arguments), make_frames)


@pytest.mark.parametrize("arguments", VARIANTS)
def test_frames_are_pooled_by_both_moments(arguments):
    layer = NetFv(4, **arguments)
    frames, mask = make_frames(5)
    layer.build(frames.shape)
    randomise_weights(layer)
    deviations = np.square(np.asarray(layer.covariances, np.float64)) + 1e-6
    if layer.couple_weights:
        centres = 0.5 * np.asarray(layer.assignment.kernel, np.float64)
    else:
        centres = np.asarray(layer.centres, np.float64)
    expected = []
    for video in real_frames(frames, mask):
        shares = softmax(normalized_dense(video, layer.assignment))
        first, second = np.zeros((3, 4)), np.zeros((3, 4))
        for k in range(4):
            scaled = (video - centres[:, k]) / deviations[:, k]
            first[:, k] = unit(shares[:, k] @ scaled)
            second[:, k] = shares[:, k] @ (np.square(scaled) - 1)
        expected.append(np.concatenate([unit(first), unit(second)], None))
    np.testing.assert_allclose(layer(frames, mask), expected, atol=1e-4)


def test_coupled_weights_leave_no_centres():
    coupled = NetFv(4, couple_weights=True)
    coupled.build((None, None, 3))
    assert not [w for w in coupled.weights if "centres" in w.path]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"fv_relu": True, "gating": False},
        {"fv_couple_weights": True, "gating_remove_diag": True},
        {"fv_add_batch_norm": False},
    ],
    ids=["default", "relu, no gating", "coupled", "no batch norm"],
)
def test_netfv_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=sum(SIZES),
        max_frames=6,
        num_classes=CLASSES,
    )


def test_golden_predictions_are_reproduced():
    golden = load_golden_model("netfv")
    model = NetFvModel(
        MixtureOfExperts(
            golden.num_classes,
            count_mixtures(golden),
            moe_prob_gating=is_on(golden, "moe_prob_gating"),
        ),
        feature_sizes(golden, SCOPES),
        fv_cluster_size=int(golden.flags["fv_cluster_size"]),
        fv_hidden_size=int(golden.flags["fv_hidden_size"]),
        fv_relu=is_on(golden, "fv_relu"),
        fv_couple_weights=is_on(golden, "fv_couple_weights"),
        gating=is_on(golden, "gating"),
        mask_padding=False,
    )
    names = {"covar_weights": "covariances", "cluster_weights2": "centres"}
    build_and_load(model, golden, SCOPES, names)
    assert_golden_predictions(model, golden)


def test_macs_count_assignment_both_moments_and_the_rest():
    model = make_model()
    model.build({"frames": (None, 6, 5), "num_frames": (None,)})
    pooled = 2 * (3 * 4 + 2 * 2)
    for num_frames in (1, 6):
        assert model.macs(num_frames) == (
            num_frames * 3 * (3 * 4 + 2 * 2) + pooled * 5 + 5 * 5 + 5 * CLASSES
        )


@pytest.mark.parametrize("name", ["fv_cluster_size", "fv_hidden_size"])
def test_no_cluster_or_no_hidden_value_is_an_error(name):
    with pytest.raises(ValueError, match=f"^{name} must be 1 or more, got 0"):
        make_model(**{name: 0})

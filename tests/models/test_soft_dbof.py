"""Soft and gated DBoF against NumPy and the reference code."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.soft_dbof import (
    GatedDbof,
    GatedDbofModel,
    SoftDbof,
    SoftDbofModel,
)
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
from tests.numpy_lstm import sigmoid
from tests.numpy_pooling import (
    make_frames,
    normalized_dense,
    real_frames,
    softmax,
    unit,
)

CLASSES, SIZES = 4, (3, 2)
SCOPES = ("video_DBOF", "audio_DBOF")
MODELS = {"soft_dbof": SoftDbofModel, "gated_dbof": GatedDbofModel}


def make_model(model_class, **arguments):
    return model_class(
        Logistic(CLASSES, name="classifier"),
        SIZES,
        **{"dbof_cluster_size": 16, "dbof_hidden_size": 5} | arguments,
    )


def make_built(layer, frames):
    layer.build(frames.shape)
    randomise_weights(layer)
    return layer


@pytest.mark.parametrize(
    "make_layer",
    [
        lambda: SoftDbof(4),
        lambda: SoftDbof(4, add_batch_norm=False, max_pool=True),
        lambda: GatedDbof(4),
        lambda: GatedDbof(4, add_batch_norm=False),
    ],
    ids=["soft", "soft, no batch norm, maxima", "gated", "gated, no norm"],
)
def test_pooling_passes_the_layer_checks(make_layer):
    check_layer(make_layer, make_frames)


@pytest.mark.parametrize("max_pool", [True, False])
def test_soft_dbof_sums_the_shares_and_appends_the_maxima(max_pool):
    frames, mask = make_frames(5)
    layer = make_built(SoftDbof(4, max_pool=max_pool), frames)
    expected = []
    for video in real_frames(frames, mask):
        shares = softmax(normalized_dense(video, layer.assignment))
        parts = [unit(shares.sum(0))]
        if max_pool:
            parts.append(unit(shares.max(0)))
        expected.append(np.concatenate(parts))
    np.testing.assert_allclose(layer(frames, mask), expected, atol=1e-6)


@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_gated_dbof_gates_the_sums_by_the_maxima(add_batch_norm):
    frames, mask = make_frames(5)
    layer = make_built(GatedDbof(4, add_batch_norm), frames)
    assert layer.reduction.shape == (4, 3)
    expected = []
    for video in real_frames(frames, mask):
        shares = softmax(normalized_dense(video, layer.assignment))
        reduced = unit(shares.max(0)) @ np.asarray(layer.reduction)
        gates = sigmoid(normalized_dense(reduced, layer.gates))
        expected.append(unit(gates * shares.sum(0)))
    np.testing.assert_allclose(layer(frames, mask), expected, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"softdbof_maxpool": True, "dbof_relu": True},
        {"dbof_add_batch_norm": False, "sample_frames": 3},
    ],
    ids=["default", "maxima, relu", "no batch norm"],
)
def test_models_pass_the_model_checks(name, arguments):
    check_frame_model(
        lambda: make_model(MODELS[name], **arguments),
        num_features=sum(SIZES),
        max_frames=6,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize("name", MODELS)
def test_golden_predictions_are_reproduced(name):
    golden = load_golden_model(name)
    model = MODELS[name](
        MixtureOfExperts(golden.num_classes, count_mixtures(golden)),
        feature_sizes(golden, SCOPES),
        dbof_cluster_size=int(golden.flags["dbof_cluster_size"]),
        dbof_hidden_size=int(golden.flags["dbof_hidden_size"]),
        dbof_relu=is_on(golden, "dbof_relu"),
        softdbof_maxpool=is_on(golden, "softdbof_maxpool"),
        mask_padding=False,
    )
    names = {"dim_red": "reduction", "cluster_weights_2": "gates.kernel"}
    build_and_load(model, golden, SCOPES, names)
    assert_golden_predictions(model, golden)


def test_the_first_feature_alone_is_gated():
    model = make_model(GatedDbofModel)
    assert [type(pool) for pool in model.pools] == [GatedDbof, SoftDbof]


@pytest.mark.parametrize(
    ("name", "maxima", "gates", "pooled"),
    [
        ("soft_dbof", False, 0, 16 + 2),
        ("soft_dbof", True, 0, 2 * (16 + 2)),
        ("gated_dbof", False, 2 * 3 * 16, 16 + 2),
        ("gated_dbof", True, 2 * 3 * 16, 16 + 2 * 2),
    ],
)
def test_macs_count_assignment_gates_and_hidden_layer(
    name, maxima, gates, pooled
):
    model = make_model(MODELS[name], softdbof_maxpool=maxima)
    model.build({"frames": (None, 6, 5), "num_frames": (None,)})
    for num_frames in (1, 6):
        assert model.macs(num_frames) == (
            num_frames * (3 * 16 + 2 * 2) + gates + pooled * 5 + 5 * CLASSES
        )


@pytest.mark.parametrize("name", ["dbof_cluster_size", "dbof_hidden_size"])
def test_no_cluster_or_no_hidden_value_is_an_error(name):
    with pytest.raises(ValueError, match=f"^{name} must be 1 or more, got 0"):
        make_model(SoftDbofModel, **{name: 0})

"""The NeXtVLAD network against NumPy and the reference."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.nextvlad_model import NeXtVladModel
from tests.golden import count_mixtures, load_golden_model, moe_weights
from tests.layer_checks import check_frame_model
from tests.numpy_lstm import sigmoid
from tests.videos import build_for_frames, make_videos

FRAMES, FEATURES, CLASSES, HIDDEN = 5, 6, 4, 12


def make_model(feature_sizes=(4, 2), **arguments):
    sizes = {"nextvlad_cluster_size": 4, "nextvlad_groups": 2} | arguments
    return NeXtVladModel(
        Logistic(CLASSES, name="classifier"),
        feature_sizes,
        nextvlad_hidden_size=HIDDEN,
        gating_reduction=2,
        **sizes,
    )


def make_built(*arguments, **named):
    return build_for_frames(make_model(*arguments, **named), FEATURES)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"feature_sizes": (6,)}, {"feature_sizes": (3, 2, 1), "dropout": 0.1}],
    ids=["two features", "one feature", "three features"],
)
def test_nextvlad_model_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**{"nextvlad_expansion": 2} | arguments),
        num_features=FEATURES,
        max_frames=FRAMES,
        num_classes=CLASSES,
    )


def test_later_features_have_half_the_clusters_and_groups():
    model = make_model((2, 2, 2), nextvlad_cluster_size=7, nextvlad_groups=1)
    assert [vlad.clusters for vlad in model.vlads] == [7, 3, 3]
    assert [vlad.groups for vlad in model.vlads] == [1, 1, 1]


@pytest.mark.parametrize("feature_sizes", [(6,), (4, 2), (2, 2, 2)])
def test_pooled_features_are_joined_normalised_and_gated(feature_sizes):
    model, videos = make_built(feature_sizes), make_videos(FRAMES, FEATURES)
    bounds = np.cumsum(feature_sizes)[:-1]
    features = np.split(videos["frames"], bounds, axis=2)
    pooled = [
        np.asarray(vlad(feature, videos["num_frames"]))
        for vlad, feature in zip(model.vlads, features, strict=True)
    ]
    (kernel,) = model.hidden.get_weights()
    gamma, beta, mean, variance = model.hidden_norm.get_weights()
    hidden = np.concatenate(pooled, axis=1) @ kernel
    hidden = (hidden - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    embedding = np.asarray(model.gating(hidden))
    kernel, bias = model.classifier.get_weights()
    outputs = model(videos)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-4)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(embedding @ kernel + bias), atol=1e-4
    )


def norm_weights(weights, name):
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    return [weights[f"{name}/{part}"] for part in parts]


def assign_vlad(vlad, weights, name):
    """Loads a pooling layer of the reference."""
    for dense, layer in (
        (vlad.expand, "fully_connected"),
        (vlad.attention, "fully_connected_1"),
    ):
        dense.set_weights(
            [
                weights[f"{name}/{layer}/{part}"]
                for part in ("weights", "biases")
            ]
        )
    vlad.assignment_kernel.assign(weights[f"{name}/cluster_weights"])
    vlad.assignment_norm.set_weights(
        norm_weights(weights, f"{name}/cluster_bn")
    )
    vlad.centres.assign(weights[f"{name}/cluster_weights2"][0].T)
    vlad.norm.set_weights(norm_weights(weights, f"{name}/vlad_bn"))


def test_golden_predictions_are_reproduced():
    golden = load_golden_model("nextvlad")
    weights, flags = golden.weights, golden.flags
    names = ("video_VLAD", "audio_VLAD")
    rows = [len(weights[f"{name}/fully_connected/weights"]) for name in names]
    model = NeXtVladModel(
        MixtureOfExperts(golden.num_classes, count_mixtures(golden)),
        feature_sizes=tuple(rows),
        nextvlad_cluster_size=int(flags["nextvlad_cluster_size"]),
        nextvlad_groups=int(flags["groups"]),
        nextvlad_expansion=int(flags["expansion"]),
        nextvlad_hidden_size=int(flags["nextvlad_hidden_size"]),
        gating_reduction=int(flags["gating_reduction"]),
    )
    model(golden.inputs)
    for vlad, name in zip(model.vlads, names, strict=True):
        assign_vlad(vlad, weights, name)
    model.hidden.set_weights([weights["hidden1_weights"]])
    model.hidden_norm.set_weights(norm_weights(weights, "hidden1_bn"))
    model.gating.squeeze_kernel.assign(weights["gating_weights_1"])
    model.gating.norm.set_weights(norm_weights(weights, "gating_bn"))
    model.gating.excite_kernel.assign(weights["gating_weights_2"])
    model.classifier.set_weights(moe_weights(weights))
    np.testing.assert_allclose(
        model(golden.inputs)["predictions"],
        golden.outputs["predictions"],
        rtol=0,
        atol=1e-5,
    )


def test_dropout_acts_in_training_alone():
    model, videos = make_built(dropout=0.5), make_videos(FRAMES, FEATURES)
    scored = model(videos)["predictions"]
    np.testing.assert_array_equal(model(videos)["predictions"], scored)
    trained = model(videos, training=True)["predictions"]
    assert np.abs(trained - scored).max() > 0.01


def test_macs_are_those_of_the_matrix_products():
    first = 4 * 8 + 8 * 2 + 8 * (2 * 4) + 8 * 4
    second = 2 * 4 + 4 * 1 + 4 * (1 * 2) + 4 * 2
    pooled = 8 // 2 * 4 + 4 // 1 * 2
    dense = pooled * HIDDEN + 2 * HIDDEN * HIDDEN // 2 + HIDDEN * CLASSES
    model = make_built(nextvlad_expansion=2)
    assert model.macs(7) == 7 * (first + second) + dense


def test_groups_that_do_not_divide_the_width_are_an_error():
    message = r"^nextvlad_groups must divide .* \(1 \* 4\), got 3\.$"
    with pytest.raises(ValueError, match=message):
        make_built(nextvlad_groups=3, nextvlad_expansion=1)


def test_no_hidden_value_is_an_error():
    with pytest.raises(ValueError, match=r"^nextvlad_hidden_size must be 1"):
        NeXtVladModel(Logistic(CLASSES), (4, 2), nextvlad_hidden_size=0)

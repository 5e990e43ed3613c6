"""Deep bag of frames against NumPy and the starter code."""

import numpy as np
import pytest

from distill.models.dbof import Dbof, DbofModel
from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from tests.golden import count_mixtures, load_golden_model
from tests.golden_late_fusion import (
    assert_golden_predictions,
    assign_mixture,
    assign_norm,
)
from tests.layer_checks import (
    check_frame_model,
    check_layer,
    randomise_weights,
)
from tests.numpy_lstm import sigmoid
from tests.numpy_pooling import make_frames, normalized_dense, real_frames

CLASSES, SIZES = 4, (3, 2)
METHODS = {"max": np.max, "average": np.mean}
ACTIVATIONS = {"relu6": lambda x: np.clip(x, 0, 6), "sigmoid": sigmoid}


def make_model(**arguments):
    return DbofModel(
        Logistic(CLASSES, name="classifier"),
        SIZES,
        **{"dbof_cluster_size": 6, "dbof_hidden_size": 5} | arguments,
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_dbof_passes_the_layer_checks(method, activation, add_batch_norm):
    check_layer(
        lambda: Dbof(4, add_batch_norm, None, method, activation), make_frames
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_frames_are_projected_and_pooled(method, activation, add_batch_norm):
    layer = Dbof(40, add_batch_norm, 4.0, method, activation)
    frames, mask = make_frames(5)
    layer.build(frames.shape)
    projected = [
        normalized_dense(video, layer) for video in real_frames(frames, mask)
    ]
    assert np.concatenate(projected).max() > 6
    expected = [
        METHODS[method](ACTIVATIONS[activation](video), axis=0)
        for video in projected
    ]
    np.testing.assert_allclose(layer(frames, mask), expected, atol=1e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"dbof_pooling_method": "average", "sample_frames": 0},
        {"dbof_add_batch_norm": False, "sample_random_frames": False},
        {"dbof_activation": "sigmoid"},
    ],
    ids=["default", "average", "no batch norm", "sigmoid"],
)
def test_dbof_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=sum(SIZES),
        max_frames=6,
        num_classes=CLASSES,
    )


def test_golden_predictions_are_reproduced():
    golden = load_golden_model("dbof_max")
    weights = golden.weights
    model = DbofModel(
        MixtureOfExperts(golden.num_classes, count_mixtures(golden)),
        golden.inputs["frames"].shape[-1:],
        dbof_cluster_size=int(golden.flags["dbof_cluster_size"]),
        dbof_hidden_size=int(golden.flags["dbof_hidden_size"]),
        dbof_activation=golden.flags.get("dbof_activation", "sigmoid"),
        mask_padding=False,
    )
    model(golden.inputs)
    assign_norm(model.input_norm, weights.get, "input_bn")
    model.pools[0].kernel.assign(weights["cluster_weights"])
    assign_norm(model.pools[0].norm, weights.get, "cluster_bn")
    model.hidden.kernel.assign(weights["hidden1_weights"])
    assign_norm(model.hidden.norm, weights.get, "hidden1_bn")
    assign_mixture(model.classifier, weights.get)
    assert_golden_predictions(model, golden)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_layer_is_normalised_and_ends_in_the_activation(activation):
    model = make_model(dbof_activation=activation)
    frames, mask = make_frames(3, num_features=5)
    inputs = {"frames": frames, "num_frames": mask.sum(1).astype(np.int32)}
    model(inputs)
    randomise_weights(model)
    frames = model.input_norm(frames)
    pooled = np.asarray(model.pools[0](frames, mask), np.float64)
    hidden = normalized_dense(pooled, model.hidden)
    expected = ACTIVATIONS[activation](hidden)
    np.testing.assert_allclose(model(inputs)["embedding"], expected, atol=1e-5)


def test_frames_are_not_split_by_feature():
    model = make_model()
    assert model.feature_sizes == (5,) and len(model.pools) == 1


def test_thirty_frames_are_drawn_in_training_unless_told_otherwise():
    assert make_model().sampling.sample_frames == 30
    assert make_model(sample_frames=7).sampling.sample_frames == 7


def test_macs_count_projection_and_hidden_layer():
    model = make_model()
    model.build({"frames": (None, 6, 5), "num_frames": (None,)})
    for num_frames in (1, 6):
        assert model.macs(num_frames) == (
            num_frames * 5 * 6 + 6 * 5 + 5 * CLASSES
        )


@pytest.mark.parametrize("name", ["dbof_cluster_size", "dbof_hidden_size"])
def test_no_cluster_or_no_hidden_value_is_an_error(name):
    with pytest.raises(ValueError, match=f"^{name} must be 1 or more, got 0"):
        make_model(**{name: 0})


@pytest.mark.parametrize(
    ("name", "choices"),
    [("pooling_method", "average, max"), ("activation", "relu6, sigmoid")],
)
def test_an_unknown_choice_is_an_error_that_lists_them(name, choices):
    message = rf"{name} 'sum'\..* Choices: {choices}\.$"
    with pytest.raises(ValueError, match=f"^Unknown dbof_{message}"):
        make_model(**{f"dbof_{name}": "sum"})
    with pytest.raises(ValueError, match=f"^Unknown {message}"):
        Dbof(4, **{name: "sum"})

"""Pooling layers of frames by clusters against NumPy."""

import numpy as np
import pytest

from distill.models.dbof import Dbof
from distill.models.netfv import NetFv
from distill.models.netvlad import NetRVlad, NetVlad
from distill.models.soft_assignment import (
    SoftAssignment,
)
from distill.models.soft_dbof import GatedDbof, SoftDbof
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_layers import normalized_dense, sigmoid, softmax, unit
from tests.videos import make_frames

CLUSTERS = 4
METHODS = {"max": np.max, "average": np.mean}
ACTIVATIONS = {"relu6": lambda x: np.clip(x, 0, 6), "sigmoid": sigmoid}


def assigned(video, layer):
    return softmax(normalized_dense(video, layer.assignment))


def numpy_vlad(video, layer):
    assignments, columns = assigned(video, layer), []
    centres = np.zeros((3, CLUSTERS))
    if isinstance(layer, NetVlad):
        centres = np.asarray(layer.centres)
    for k in range(CLUSTERS):
        columns.append(unit(assignments[:, k] @ (video - centres[:, k])))
    return unit(np.stack(columns, axis=1)).ravel()


def numpy_fisher(video, layer):
    deviations = np.square(np.asarray(layer.covariances, np.float64)) + 1e-6
    if layer.couple_weights:
        centres = 0.5 * np.asarray(layer.assignment.kernel, np.float64)
    else:
        centres = np.asarray(layer.centres, np.float64)
    assignments = assigned(video, layer)
    first, second = np.zeros((3, CLUSTERS)), np.zeros((3, CLUSTERS))
    for k in range(CLUSTERS):
        scaled = (video - centres[:, k]) / deviations[:, k]
        first[:, k] = unit(assignments[:, k] @ scaled)
        second[:, k] = assignments[:, k] @ (np.square(scaled) - 1)
    return np.concatenate([unit(first), unit(second)], None)


def numpy_soft_dbof(video, layer):
    assignments = assigned(video, layer)
    pooled = [unit(assignments.sum(0))]
    if layer.max_pool:
        pooled.append(unit(assignments.max(0)))
    return np.concatenate(pooled)


def numpy_gated_dbof(video, layer):
    assignments = assigned(video, layer)
    assert layer.reduction.shape == (CLUSTERS, 3)
    reduced = unit(assignments.max(0)) @ np.asarray(layer.reduction)
    gates = sigmoid(normalized_dense(reduced, layer.gates))
    return unit(gates * assignments.sum(0))


COUPLED = {"couple_weights": True, "coupling_factor": 0.5}
BIAS = {"add_batch_norm": False}
cases = pytest.mark.parametrize(
    ("pooling", "arguments", "expected"),
    [
        (NetRVlad, {}, numpy_vlad),
        (NetRVlad, BIAS, numpy_vlad),
        (NetVlad, {}, numpy_vlad),
        (NetVlad, BIAS, numpy_vlad),
        (NetFv, {}, numpy_fisher),
        (NetFv, COUPLED, numpy_fisher),
        (NetFv, BIAS, numpy_fisher),
        (SoftDbof, {}, numpy_soft_dbof),
        (SoftDbof, BIAS | {"max_pool": True}, numpy_soft_dbof),
        (GatedDbof, {}, numpy_gated_dbof),
        (GatedDbof, BIAS, numpy_gated_dbof),
    ],
)


@cases
def test_pooling_passes_the_layer_checks(pooling, arguments, expected):
    check_layer(lambda: pooling(CLUSTERS, **arguments), make_frames)


@cases
def test_real_frames_are_pooled_by_their_assignments(
    pooling, arguments, expected
):
    layer = pooling(CLUSTERS, **arguments)
    frames, mask = make_frames(5)
    layer.build(frames.shape)
    randomise_weights(layer)
    pooled = [
        expected(video[real].astype(np.float64), layer)
        for video, real in zip(frames, mask, strict=True)
    ]
    atol = 1e-4 if pooling is NetFv else 1e-5
    np.testing.assert_allclose(layer(frames, mask), pooled, atol=atol)


def test_coupled_weights_leave_no_centres():
    coupled = NetFv(CLUSTERS, couple_weights=True)
    coupled.build((None, None, 3))
    assert not [w for w in coupled.weights if "centres" in w.path]


variants = pytest.mark.parametrize(
    ("method", "activation", "add_batch_norm"),
    [
        ("max", "relu6", True),
        ("max", "sigmoid", False),
        ("average", "relu6", False),
        ("average", "sigmoid", True),
    ],
)


@variants
def test_dbof_passes_the_layer_checks(method, activation, add_batch_norm):
    def make_layer():
        return Dbof(
            4,
            add_batch_norm=add_batch_norm,
            pooling_method=method,
            activation=activation,
        )

    check_layer(make_layer, make_frames)


@variants
def test_frames_are_projected_and_pooled(method, activation, add_batch_norm):
    layer = Dbof(
        40,
        add_batch_norm=add_batch_norm,
        stddev=4.0,
        pooling_method=method,
        activation=activation,
    )
    frames, mask = make_frames(5)
    layer.build(frames.shape)
    projected = [
        normalized_dense(video[real].astype(np.float64), layer)
        for video, real in zip(frames, mask, strict=True)
    ]
    assert np.concatenate(projected).max() > 6
    expected = [
        METHODS[method](ACTIVATIONS[activation](video), axis=0)
        for video in projected
    ]
    np.testing.assert_allclose(layer(frames, mask), expected, atol=1e-4)


@pytest.mark.parametrize("add_batch_norm", [True, False])
def test_assignments_are_a_softmax_and_those_of_padding_are_zero(
    add_batch_norm,
):
    def make_layer():
        return SoftAssignment(4, add_batch_norm)

    check_layer(make_layer, make_frames)
    layer, (frames, mask) = make_layer(), make_frames(5)
    layer.build(frames.shape)
    randomise_weights(layer)
    expected = softmax(normalized_dense(frames.astype(np.float64), layer))
    np.testing.assert_allclose(
        layer(frames, mask), expected * mask[:, :, None], atol=1e-6
    )
    np.testing.assert_allclose(layer(frames), expected, atol=1e-6)

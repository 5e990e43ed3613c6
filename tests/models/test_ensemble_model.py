"""An ensemble's model: its mean, its config and its cost."""

import json

import numpy as np
import pytest
import tensorflow as tf

from distill.models.ensemble_model import EnsembleModel
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.models.hierarchical_lstm import HierarchicalLstm
from distill.models.raw_video_model import RawVideoModel
from distill.models.video_level import (
    FrameLevelLogisticModel,
    VideoLevelClassifier,
)
from tests.layer_checks import (
    check_any_batch_size,
    check_config,
    check_save_and_load,
    randomise_weights,
)
from tests.videos import CLASSES, make_model

FEATURES, FRAMES = 4, 8
WEIGHTS = [0.5, 0.375, 0.125]
SHAPES = {"frames": (None, FRAMES, FEATURES), "num_frames": (None,)}


def make_members():
    """Returns models of three kinds, budgets and numbers of frames."""
    logistic = make_model(FrameLevelLogisticModel)
    sizes = {"max_frames": 4, "cells": 3, "layers": 1, "num_blocks": 2}
    lstm = make_model(HierarchicalLstm, **sizes)
    other = make_model(FrameLevelLogisticModel)
    return [
        RawVideoModel(logistic, ALL_FRAMES, FRAMES, FRAMES),
        RawVideoModel(lstm, FrameBudget.every(2), FRAMES, 4),
        RawVideoModel(other, FrameBudget("last_k", num_frames=3), FRAMES, 3),
    ]


def make_ensemble(weights=WEIGHTS):
    return EnsembleModel(make_members(), weights)


def make_built():
    ensemble = make_ensemble()
    ensemble.build(SHAPES)
    randomise_weights(ensemble)
    return ensemble


def make_inputs():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, FRAMES, FEATURES), np.uint8)
    return {"frames": frames, "num_frames": np.arange(4, 9, dtype=np.int32)}


def test_ensemble_passes_the_layer_checks():
    check_config(make_ensemble)
    assert "build_config" not in json.dumps(make_built().get_config())
    check_any_batch_size(make_built(), (make_inputs(),))
    check_save_and_load(make_built(), (make_inputs(),))


def test_predictions_are_the_weighted_mean_of_the_members():
    """Each member is given the frames that NumPy selects for it."""
    ensemble, inputs = make_built(), make_inputs()
    frames = inputs["frames"] * (4 / 255) + 4 / 512 - 2
    frames /= np.linalg.norm(frames, axis=2, keepdims=True)
    expected = np.zeros((5, CLASSES))
    for video, count in enumerate(inputs["num_frames"]):
        selections = (
            range(count),
            range(0, 2 * (count // 2), 2),
            range(count - 3, count),
        )
        for weight, member, kept in zip(
            WEIGHTS, ensemble.members, selections, strict=True
        ):
            read = np.zeros((1, member.model_frames, FEATURES), np.float32)
            read[0, : len(kept)] = frames[video, list(kept)]
            outputs = member.model(
                {"frames": read, "num_frames": np.array([len(kept)])}
            )
            expected[video] += weight * np.asarray(outputs["predictions"])[0]
    found = np.asarray(ensemble(inputs))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.min() >= 0
    assert found.max() <= 1


def test_members_built_before_keep_the_names_of_their_weights():
    members = make_members()
    for member in members:
        member.build(SHAPES)
    names = [weight.path for member in members for weight in member.weights]
    ensemble = EnsembleModel(members, WEIGHTS)
    ensemble.build(SHAPES)
    assert [weight.path for weight in ensemble.weights] == names


def test_macs_are_the_sum_of_the_members():
    ensemble = make_built()
    first, second, third = (member.model for member in ensemble.members)
    assert ensemble.macs() == (first.macs(8) + second.macs(4) + third.macs(3))


def test_video_level_members_read_features():
    members = [
        RawVideoModel(make_model(VideoLevelClassifier), ALL_FRAMES, 1, 1)
        for _ in range(2)
    ]
    ensemble = EnsembleModel(members, [0.25, 0.75])
    ensemble.build({"features": (None, FEATURES)})
    randomise_weights(ensemble)
    rng = np.random.default_rng(1)
    inputs = {
        "features": tf.constant(rng.normal(size=(2, FEATURES)), "float32")
    }
    first, second = (np.asarray(member(inputs)) for member in members)
    np.testing.assert_allclose(
        ensemble(inputs), 0.25 * first + 0.75 * second, atol=1e-6
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.5], "got 3 members and 2 weights"),
        ([0.5, 0.6, -0.1], "member_weights must be 0 or more, got -0.1"),
        ([0.5, 0.4, 0.4], "member_weights must sum to 1"),
    ],
)
def test_weights_that_do_not_average_are_errors(weights, message):
    with pytest.raises(ValueError, match=message):
        make_ensemble(weights)
    with pytest.raises(ValueError, match="one member or more"):
        EnsembleModel([], [])

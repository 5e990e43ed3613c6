"""Attention to the parts of a video, against NumPy."""

import itertools

import numpy as np

from distill.models.frame_budget import SEGMENT_MEANS, FrameBudget
from distill.models.frame_selection import select_frames
from distill.models.hierarchical_lstm import HierarchicalLstm
from distill.models.segment_attention import AttendedModel, SegmentAttention
from tests.layer_checks import check_frame_model, randomise_weights
from tests.videos import make_model

FEATURES, FRAMES, PARTS = 6, 7, 3
NUM_FRAMES = np.array([0, 1, 2, 3, 5, 7], np.int32)


def make_attended(name=None, num_parts=4):
    sizes = {"max_frames": num_parts, "cells": 4, "layers": 1, "num_blocks": 2}
    model = make_model(HierarchicalLstm, name=name, **sizes)
    return AttendedModel(num_parts, model, name=name)


def make_frames():
    """Returns frames of norm 1, zeros in the padding."""
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(len(NUM_FRAMES), FRAMES, FEATURES))
    frames /= np.linalg.norm(frames, axis=-1, keepdims=True)
    real = np.arange(FRAMES) < NUM_FRAMES[:, None]
    return np.where(real[..., None], frames, 0).astype(np.float32)


def test_attended_models_pass_the_model_checks():
    check_frame_model(make_attended, FEATURES, FRAMES)


def test_each_part_is_averaged_by_the_softmax_of_its_scores():
    layer, frames = SegmentAttention(PARTS, hidden_size=5), make_frames()
    layer.build(frames.shape)
    randomise_weights(layer)
    kernel, bias, scorer = (np.asarray(w, np.float64) for w in layer.weights)
    means, counts = map(np.asarray, layer(frames, NUM_FRAMES))
    np.testing.assert_array_equal(counts, [0, 1, 2, 3, 3, 3])
    # The first frames of the parts, and the frame after the last.
    borders = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 3, 5], [0, 2, 4, 7]]
    for video, found, starts in zip(frames, means, borders, strict=True):
        expected = np.zeros((PARTS, FEATURES))
        for part, (start, end) in enumerate(itertools.pairwise(starts)):
            own = video[start:end].astype(np.float64)
            scaled = own * np.sqrt(FEATURES)
            scores = np.maximum(scaled @ kernel + bias, 0) @ scorer
            weights = np.exp(scores) / np.exp(scores).sum()
            mean = (weights * own).sum(axis=0)
            expected[part] = mean / np.linalg.norm(mean)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_new_attention_gives_plain_means():
    layer, frames = SegmentAttention(PARTS), make_frames()
    found, counts = layer(frames, NUM_FRAMES)
    plain = select_frames(
        {"frames": frames, "num_frames": NUM_FRAMES},
        FrameBudget(SEGMENT_MEANS, num_frames=PARTS),
    )
    norms = np.linalg.norm(plain["frames"], axis=-1, keepdims=True)
    expected = np.asarray(plain["frames"]) / np.maximum(norms, 1e-6)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(counts, plain["num_frames"])


def test_a_score_far_below_those_of_other_parts_keeps_its_own_part():
    """Its softmax over the whole video would be zero in float32."""
    layer = SegmentAttention(2, hidden_size=1)
    layer.build((1, 2, 1))
    for weight, value in zip(layer.weights, (1, 0, 500), strict=True):
        weight.assign(np.full(weight.shape, value))
    frames = np.array([[[1.0], [-1.0]]], np.float32)
    means, _ = layer(frames, np.array([2]))
    np.testing.assert_array_equal(means, frames)


def test_every_frame_is_scored_and_each_part_classified():
    attended = make_attended(num_parts=PARTS)
    attended.build({"frames": (None, FRAMES, FEATURES), "num_frames": (None,)})
    for length in (2, FRAMES):
        scoring = length * (FEATURES * 32 + 32 + FEATURES)
        classified = attended.model.macs(min(length, PARTS))
        assert attended.macs(length) == scoring + classified

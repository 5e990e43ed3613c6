"""A model behind an encoder: codes, weights, training and cost."""

import numpy as np
import pytest

from distill.models.autoencoder import make_encoder
from distill.models.configs import LogisticConfig
from distill.models.encoded_model import EncodedModel
from distill.models.hierarchical_lstm import HierarchicalLstm
from distill.models.logistic import Logistic
from distill.models.video_level import VideoLevelClassifier
from tests.layer_checks import (
    check_frame_model,
    check_video_model,
    randomise_weights,
)
from tests.videos import CLASSES, make_model

FEATURES, CODE, FRAMES = 6, 3, 7
SHAPES = {"frames": (None, FRAMES, FEATURES), "num_frames": (None,)}


def make_encoded(freeze_encoder=False, name=None):
    sizes = {"max_frames": FRAMES, "cells": 4, "layers": 1, "num_blocks": 3}
    model = make_model(HierarchicalLstm, name=name, **sizes)
    return EncodedModel(
        make_encoder(f"5,{CODE}"), model, freeze_encoder, name=name
    )


def make_video_model():
    model = make_model(VideoLevelClassifier)
    return EncodedModel(make_encoder(f"5,{CODE}"), model, freeze_encoder=False)


def make_inputs():
    rng = np.random.default_rng(1)
    frames = rng.normal(size=(5, FRAMES, FEATURES)).astype(np.float32)
    num_frames = np.array([1, 3, 4, 6, 7], np.int32)
    for video, count in zip(frames, num_frames, strict=True):
        video[count:] = 0
    return {"frames": frames, "num_frames": num_frames}


def test_encoded_models_pass_the_model_checks():
    check_frame_model(make_encoded, FEATURES, FRAMES)
    check_video_model(make_video_model, FEATURES)


def test_the_model_reads_codes_and_zeros_in_the_padding():
    encoded = make_encoded()
    encoded.build(SHAPES)
    randomise_weights(encoded)
    inputs = make_inputs()
    read = []
    call = encoded.model.call
    encoded.model.call = lambda inputs, training: (
        read.append(inputs) or call(inputs, training)
    )
    outputs = encoded(inputs)
    kernel, bias, last_kernel, last_bias = encoded.encoder.get_weights()
    for video, frames, count in zip(
        np.asarray(read[0]["frames"]), *inputs.values(), strict=True
    ):
        hidden = np.maximum(frames[:count] @ kernel + bias, 0)
        codes = hidden @ last_kernel + last_bias
        np.testing.assert_allclose(video[:count], codes, atol=1e-5)
        assert not video[count:].any()
    expected = call(read[0], False)
    np.testing.assert_array_equal(
        outputs["predictions"], expected["predictions"]
    )


@pytest.mark.parametrize("freeze_encoder", [True, False])
def test_a_frozen_encoder_is_not_among_the_trainable_weights(freeze_encoder):
    encoded = make_encoded(freeze_encoder)
    encoded.build(SHAPES)
    trainable = {id(weight) for weight in encoded.trainable_variables}
    of_encoder = {id(weight) for weight in encoded.encoder.weights}
    of_model = {id(weight) for weight in encoded.model.weights}
    assert len(of_encoder) == 4
    assert trainable == (of_model if freeze_encoder else of_model | of_encoder)
    assert len(encoded.weights) == len(of_encoder | of_model)
    again = EncodedModel.from_config(encoded.get_config())
    assert again.freeze_encoder is freeze_encoder
    assert again.encoder.trainable is not freeze_encoder


def test_a_model_built_before_keeps_its_weights_names():
    encoded = make_encoded(name="student")
    plain = {"frames": (None, FRAMES, CODE), "num_frames": (None,)}
    encoded.model.build(plain)
    encoded.build(SHAPES)
    assert encoded.classifier is encoded.model.classifier
    paths = sorted(weight.path for weight in encoded.weights)
    assert paths == [
        "student/classifier/bias",
        "student/classifier/kernel",
        "student/encoder/dense_0/bias",
        "student/encoder/dense_0/kernel",
        "student/encoder/dense_1/bias",
        "student/encoder/dense_1/kernel",
        "student/lower/lstm_0/lstm_cell/bias",
        "student/lower/lstm_0/lstm_cell/kernel",
        "student/lower/lstm_0/lstm_cell/recurrent_kernel",
        "student/upper/lstm_0/lstm_cell/bias",
        "student/upper/lstm_0/lstm_cell/kernel",
        "student/upper/lstm_0/lstm_cell/recurrent_kernel",
    ]


def test_weight_penalties_are_the_model_s():
    classifier = Logistic(CLASSES, LogisticConfig(l2=0.5))
    encoded = EncodedModel(
        make_encoder(str(CODE)), VideoLevelClassifier(classifier)
    )
    encoded.build({"features": (None, FEATURES)})
    (found,), (expected,) = encoded.losses, classifier.losses
    assert float(found) == float(expected) > 0

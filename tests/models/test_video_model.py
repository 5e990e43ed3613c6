"""Claims about all models: storage, dropout, lists of sizes."""

import dataclasses
import json

import numpy as np
import pytest

from distill.models import registry
from distill.models.configs import MixtureConfig
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.options import flag_name
from distill.models.video_level import VideoLevelClassifier
from tests.layer_checks import randomise_weights
from tests.videos import make_vectors, make_videos, real_frames

FRAMES, FEATURES = 6, 6
SMALL = {
    "lstm_cells": 4,
    "gru_cells": 4,
    "num_inputs_to_lstm": 3,
    "hidden_size": 12,
    "hidden_sizes": "16,12",
    "tower_sizes": "16,12",
    "stream_input_size": 8,
    "stream_cells": "6,4",
    "nextvlad_cluster_size": 4,
    "nextvlad_groups": 2,
    "nextvlad_hidden_size": 12,
}
FIELDS = [
    (name, flag_name(field))
    for name, entry in registry.MODELS.items()
    for field in dataclasses.fields(entry.config)
]


def build(name, **arguments):
    """Returns a small model of the registry with random weights."""
    model = registry.build_model(
        name,
        arguments=SMALL | arguments,
        num_classes=4,
        feature_sizes=(4, 2),
        max_frames=FRAMES,
    )
    if registry.get_entry(name).level == "video":
        model.build({"features": (None, FEATURES)})
    else:
        frames = (None, FRAMES, FEATURES)
        model.build({"frames": frames, "num_frames": (None,)})
    randomise_weights(model)
    return model


def make_inputs(name):
    if registry.get_entry(name).level == "video":
        return {"features": make_vectors(5, FEATURES)[0]}
    return make_videos(FRAMES, FEATURES)


@pytest.mark.parametrize(
    ("name", "flag"), [pair for pair in FIELDS if "dropout" in pair[1]]
)
def test_dropout_acts_in_training_alone(name, flag):
    off = {other: 0.0 for model, other in FIELDS if "dropout" in other}
    model, inputs = build(name, **off | {flag: 0.5}), make_inputs(name)
    scored = model(inputs)["predictions"]
    np.testing.assert_array_equal(model(inputs)["predictions"], scored)
    trained = model(inputs, training=True)["predictions"]
    assert np.abs(trained - scored).max() > 0.01


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        pair
        for pair in FIELDS
        if pair[1].endswith("_sizes") or pair[1] == "stream_cells"
    ],
)
def test_text_that_lists_no_sizes_is_an_error(name, flag):
    with pytest.raises(ValueError, match=f"^{flag} must .* got '5;6'.$"):
        build(name, **{flag: "5;6"})


def test_a_config_holds_the_classifier_with_its_settings():
    settings = MixtureConfig(num_mixtures=3, l2=0.5)
    model = VideoLevelClassifier(MixtureOfExperts(7, settings))
    config = model.get_config()
    before = json.dumps(config)
    classifier = VideoLevelClassifier.from_config(config).classifier
    assert json.dumps(config) == before
    assert isinstance(classifier, MixtureOfExperts)
    assert classifier is not model.classifier
    assert (classifier.num_classes, classifier.config) == (7, settings)


@pytest.mark.parametrize("name", registry.MODELS)
def test_the_registry_s_settings_are_those_of_the_class(name):
    entry = registry.get_entry(name)
    assert build(name).config_class is entry.config


@pytest.mark.parametrize("name", ["LstmModel", "HierarchicalLstmModel"])
def test_the_embedding_itself_passes_no_dropout(name):
    """The student learns from whole embeddings."""
    model, inputs = build(name, dropout=0.9, lstm_layers=1), make_inputs(name)
    if name == "HierarchicalLstmModel":
        model.states_drop.rate = 0.0
    scored, trained = model(inputs), model(inputs, training=True)
    np.testing.assert_allclose(
        trained["embedding"], scored["embedding"], atol=1e-6
    )
    difference = trained["predictions"] - scored["predictions"]
    assert np.abs(difference).max() > 0.01


NORMALISED = [name for name, flag in FIELDS if flag == "input_batch_norm"]


@pytest.mark.parametrize("name", NORMALISED)
def test_batch_norm_statistics_are_those_of_the_real_frames(name):
    model, inputs = build(name, input_batch_norm=True), make_inputs(name)
    for weight in model.input_norm.non_trainable_weights:
        weight.assign(np.zeros(FEATURES))
    real = inputs.get("features")
    if real is None:
        real = np.concatenate(real_frames(inputs))
    model(inputs, training=True)
    found = np.array(model.input_norm.non_trainable_weights)
    expected = np.array([real.mean(axis=0), real.var(axis=0)])
    np.testing.assert_allclose(found, 0.01 * expected, atol=1e-5)

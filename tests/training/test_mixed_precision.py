"""Networks in bfloat16 beside weights, losses and metrics in float32."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.network import build_network
from distill.settings.run import NetworkSettings
from distill.training.distiller import Distiller
from tests.training.tiny_networks import (
    BOTH_TERMS,
    SCHEMA,
    TRAINING,
    make_batch,
)

MODELS = {
    "HierarchicalLstmModel": {"lstm_cells": 3, "num_inputs_to_lstm": 2},
    "NetVLADModelLF": {"netvlad_cluster_size": 4, "netvlad_hidden_size": 6},
}


def make_distiller(model, precision):
    keras.utils.set_random_seed(5)
    settings = NetworkSettings(
        model,
        registry.resolve_arguments(model, MODELS[model]),
        FrameBudget.every(2),
    )
    teacher = dataclasses.replace(settings, budget=ALL_FRAMES)
    return Distiller(
        build_network(settings, SCHEMA, "student", precision),
        TRAINING,
        build_network(teacher, SCHEMA, "teacher", precision),
        BOTH_TERMS,
    )


@pytest.mark.parametrize(
    ("model", "traced"),
    [
        pytest.param("HierarchicalLstmModel", True, marks=pytest.mark.slow),
        ("NetVLADModelLF", False),
    ],
)
def test_a_step_in_bfloat16_is_near_one_in_float32(model, traced, request):
    if not traced:
        request.getfixturevalue("eager")
    full = make_distiller(model, "float32")
    mixed = make_distiller(model, "bfloat16")
    batch = make_batch(seed=1)
    for one, other in zip(full.variables, mixed.variables, strict=True):
        assert other.dtype == "float32"
        np.testing.assert_array_equal(one, other)
    terms, predictions = full.train_step(batch, 0.001)
    found, scores = mixed.train_step(batch, 0.001)
    for name, value in terms.items():
        assert found[name].dtype == tf.float32
        np.testing.assert_allclose(found[name], value, rtol=0.05, atol=0.02)
    for role, values in predictions.items():
        assert scores[role].dtype == tf.float32
        np.testing.assert_allclose(scores[role], values, atol=0.02)


def test_the_network_computes_in_bfloat16_and_its_classifier_in_float32():
    distiller = make_distiller("HierarchicalLstmModel", "bfloat16")
    model = distiller.student.model
    assert model.lower.lstms[0].compute_dtype == "bfloat16"
    assert model.classifier.compute_dtype == "float32"
    shape = [1, distiller.student.max_frames, SCHEMA.num_features]
    outputs = model({"frames": tf.zeros(shape), "num_frames": tf.constant([2])})
    assert outputs["embedding"].dtype == tf.bfloat16
    assert outputs["predictions"].dtype == tf.float32


def test_an_unknown_precision_lists_the_choices():
    with pytest.raises(ValueError, match="Choices: bfloat16, float32"):
        dataclasses.replace(TRAINING, mixed_precision="float16")

"""Every model of the registry runs in ONNX Runtime and in LiteRT."""

import numpy as np
import pytest
import tensorflow as tf

from distill.deployment import litert_graph
from distill.deployment.artifacts import ArtifactSource, choose_kinds
from distill.deployment.converted_formats import quiet_converters
from distill.deployment.interface import VideoInterface
from distill.deployment.runtimes import (
    ModelRuntime,
    load_runtime,
    require_checked,
)
from distill.models import registry
from distill.models.frame_budget import (
    ALL_FRAMES,
    SEGMENT_ATTENTION,
    SEGMENT_MEANS,
    FrameBudget,
)
from distill.networks.network import build_network
from distill.settings.class_names import numbered_classes
from distill.settings.run import NetworkSettings
from distill.settings.schema import DataSchema

CLASSES, FRAMES = 7, 12
SIZES = {
    "lstm_cells": 6,
    "lstm_layers": 2,
    "gru_cells": 6,
    "num_inputs_to_lstm": 3,
    "netvlad_cluster_size": 4,
    "netvlad_hidden_size": 8,
    "nextvlad_cluster_size": 4,
    "nextvlad_hidden_size": 8,
    "nextvlad_groups": 2,
    "fv_cluster_size": 4,
    "dbof_cluster_size": 16,
    "dbof_hidden_size": 8,
    "fv_hidden_size": 8,
    "tower_sizes": "8,16",
    "hidden_sizes": "16",
    "hidden_size": 8,
    "stream_input_size": 8,
    "stream_cells": "6,4",
}
BUDGETS = {
    "all": ALL_FRAMES,
    "every_n": FrameBudget(every_n=4),
    "nested_k": FrameBudget("nested_k", num_frames=9),
    "first_middle_last_k": FrameBudget("first_middle_last_k", num_frames=6),
}


def make_network(name, budget=ALL_FRAMES):
    """Returns a small network with random weights."""
    is_frame_level = registry.get_entry(name).level == "frame"
    schema = DataSchema(
        is_frame_level,
        ("rgb", "audio"),
        (12, 4),
        "id",
        "labels",
        CLASSES,
        FRAMES,
    )
    defaults = registry.resolve_arguments(name, {})
    sizes = {key: SIZES[key] for key in SIZES if key in defaults}
    settings = NetworkSettings(
        name, registry.resolve_arguments(name, sizes), budget
    )
    network = build_network(settings, schema, "student")
    rng = np.random.default_rng(1)
    for weight in network.model.weights:
        if weight.dtype == "float32" and weight.trainable:
            weight.assign(weight + rng.normal(0, 0.05, weight.shape))
    return network


def make_inputs(interface):
    rng = np.random.default_rng(2)
    schema = interface.schema
    if not schema.frame_features:
        return {"features": rng.normal(size=(5, 16)).astype(np.float32)}
    videos = [
        rng.integers(0, 256, (count, 16), np.uint8)
        for count in (1, 3, 6, 11, FRAMES)
    ]
    return interface.to_batch(videos)


def check_conversions(network, tmp_path):
    """Checks every conversion of a network on videos of many lengths."""
    interface = VideoInterface(
        network.schema, network.budget, numbered_classes(CLASSES)
    )
    reference = ModelRuntime(network.raw_model())
    inputs = make_inputs(interface)
    expected = reference(inputs)
    assert np.ptp(expected, axis=0).max() > 1e-3, "videos cannot be told apart"
    for kind in choose_kinds(["onnx", "litert"], ["float32", "int8"]):
        path = tmp_path / kind.name
        with quiet_converters():
            kind.write(path, ArtifactSource(reference.model, interface, 5))
        off = np.abs(load_runtime(path)(inputs) - expected)
        if kind.precision == "float32":
            assert off.max() < 1e-4, kind.name
        else:
            assert off.mean() < 0.03, kind.name


@pytest.mark.nightly
@pytest.mark.parametrize("name", registry.MODELS)
def test_every_model_is_converted(name, tmp_path, monkeypatch):
    """With all matrices put into the LiteRT files, whatever uses them."""
    monkeypatch.setattr(litert_graph, "_LARGE", 1)
    tf.keras.utils.set_random_seed(0)
    check_conversions(make_network(name), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("selection", [SEGMENT_MEANS, SEGMENT_ATTENTION])
def test_means_of_parts_are_converted(selection, tmp_path):
    budget = FrameBudget(selection, num_frames=5)
    check_conversions(make_network("FrameLevelLogisticModel", budget), tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_kind_of_budget_is_converted(budget, tmp_path):
    network = make_network("FrameLevelLogisticModel", BUDGETS[budget])
    check_conversions(network, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.MODELS)
def test_no_check_refuses_an_export_of_any_model(name, tmp_path):
    """A SavedModel, which is a program, and the classes of `.keras`."""
    network = make_network(name)
    interface = VideoInterface(
        network.schema, network.budget, numbered_classes(CLASSES)
    )
    model = ModelRuntime(network.raw_model()).model
    ModelRuntime(model)(make_inputs(interface))
    for kind in choose_kinds(["saved_model", "keras"], ["float32", "float16"]):
        path = tmp_path / kind.name
        with quiet_converters():
            kind.write(path, ArtifactSource(model, interface, 5))
        require_checked(path)

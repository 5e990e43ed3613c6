"""A model behind frame selection and dequantisation, as one model."""

import numpy as np
import pytest
import tensorflow as tf

from distill.models import registry
from distill.models.fixed_shapes import fixed_shapes, shapes_are_fixed
from distill.models.frame_budget import FrameBudget
from distill.models.raw_video_model import RawVideoModel, fill_up
from tests.layer_checks import (
    check_any_batch_size,
    check_config,
    check_save_and_load,
    randomise_weights,
)

FEATURES, CLASSES, FRAMES = 6, 4, 9
SHAPES = {"frames": (None, FRAMES, FEATURES), "num_frames": (None,)}
LOGISTIC = {"video_level_classifier_model": "LogisticModel"}


def make_raw(model="FrameLevelLogisticModel", budget=None, **sizes):
    """Returns a built model behind a budget, with random weights."""
    budget = budget or FrameBudget("uniform_k", num_frames=3)
    width = budget.width(FRAMES)
    raw = RawVideoModel(
        registry.build_model(
            model,
            arguments=LOGISTIC | sizes,
            num_classes=CLASSES,
            feature_sizes=(FEATURES,),
            max_frames=width,
        ),
        budget,
        video_frames=FRAMES,
        model_frames=width,
    )
    raw.build(SHAPES)
    randomise_weights(raw)
    return raw


def make_videos():
    rng = np.random.default_rng(3)
    return {
        "frames": rng.integers(0, 256, (5, FRAMES, FEATURES), np.uint8),
        "num_frames": np.array([1, 2, 4, 7, 9], np.int32),
    }


def test_passes_the_checks_of_layers():
    check_config(make_raw)
    videos = make_videos()
    check_any_batch_size(make_raw(), (videos,))
    check_save_and_load(make_raw(), (videos,))


def test_predictions_are_the_models_for_frames_prepared_by_hand():
    raw, videos = make_raw(), make_videos()
    prepared = np.zeros((5, 3, FEATURES), np.float32)
    kept = []
    for row, (video, count) in enumerate(zip(*videos.values(), strict=True)):
        k = min(3, count)
        chosen = [(2 * part + 1) * count // (2 * k) for part in range(k)]
        values = video[chosen] * (4 / 255) + (4 / 512 - 2)
        norms = np.linalg.norm(values, axis=1, keepdims=True)
        prepared[row, :k] = values / norms
        kept.append(k)
    expected = raw.model({"frames": prepared, "num_frames": np.array(kept)})
    np.testing.assert_allclose(raw(videos), expected["predictions"], atol=1e-6)


def test_padding_neither_matters_nor_has_to_be_there():
    raw, videos = make_raw(), make_videos()
    dirty = videos["frames"].copy()
    for video, count in zip(dirty, videos["num_frames"], strict=True):
        video[count:] = 77
    expected = np.asarray(raw(videos))
    np.testing.assert_array_equal(raw(videos | {"frames": dirty}), expected)
    short = {key: value[:3] for key, value in videos.items()}
    short["frames"] = short["frames"][:, :4]
    np.testing.assert_allclose(raw(short), expected[:3], atol=1e-6)


def test_floats_are_taken_for_dequantised_bytes():
    raw, videos = make_raw(), make_videos()
    floats = videos["frames"].astype(np.float32) * (4 / 255) + (4 / 512 - 2)
    found = raw(videos | {"frames": floats})
    np.testing.assert_allclose(found, raw(videos), atol=1e-6)


def test_a_model_of_more_frames_than_the_budget_reads_padding():
    narrow = make_raw(budget=FrameBudget("uniform_k", num_frames=3))
    wide = RawVideoModel(
        narrow.model, narrow.budget, video_frames=FRAMES, model_frames=8
    )
    wide.build(SHAPES)
    videos = make_videos()
    np.testing.assert_allclose(wide(videos), narrow(videos), atol=1e-6)


@pytest.mark.parametrize(
    ("budget", "model_frames", "message"),
    [
        (FrameBudget("random_k", num_frames=3), 3, "drawn for each video"),
        (FrameBudget(every_n=2), 4, "leaves 5 of 9 frames, the model reads 4"),
        (FrameBudget("first_k", num_frames=10), 9, "at most max_frames 9"),
    ],
)
def test_what_cannot_be_read_is_refused(budget, model_frames, message):
    model = make_raw().model
    with pytest.raises(ValueError, match=message):
        RawVideoModel(model, budget, FRAMES, model_frames)


def test_more_frames_than_the_most_are_refused():
    frames = np.zeros((1, FRAMES + 1, FEATURES), np.uint8)
    with pytest.raises(ValueError, match="at most 9 frames here, got 10"):
        fill_up({"frames": frames}, FRAMES)


@pytest.mark.parametrize(
    "model",
    [
        # The largest one takes seconds.
        pytest.param(name, marks=[pytest.mark.slow] * (name == "CombinedModel"))
        for name, entry in registry.MODELS.items()
        if entry.level == "frame"
    ],
)
def test_fixed_shapes_change_no_prediction(model):
    sizes = {
        "lstm_cells": 4,
        "lstm_layers": 1,
        "gru_cells": 4,
        "num_inputs_to_lstm": 2,
        "netvlad_cluster_size": 3,
        "nextvlad_cluster_size": 3,
        "nextvlad_groups": 2,
        "dbof_cluster_size": 8,
        "dbof_hidden_size": 8,
        "sample_frames": 0,
    }
    known = registry.resolve_arguments(model, {})
    sizes = {key: sizes[key] for key in sizes if key in known}
    raw = make_raw(model, FrameBudget(), **sizes)
    videos = make_videos()
    expected = np.asarray(raw(videos))
    with fixed_shapes():
        assert shapes_are_fixed()
        found = np.asarray(raw(videos))
    assert not shapes_are_fixed()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_fixed_shapes_unroll_long_recurrences():
    frames = np.random.default_rng(0).normal(size=(2, 50, 3)).astype("f")
    shapes = {"frames": (None, 50, 3), "num_frames": (None,)}
    inputs = {"frames": frames, "num_frames": np.array([50, 20])}
    for name, sizes in {
        "LstmModel": {"lstm_cells": 4, "lstm_layers": 2},
        "GruModel": {"gru_cells": 4, "gru_layers": 2},
    }.items():
        model = registry.build_model(
            name,
            arguments=LOGISTIC | sizes,
            num_classes=CLASSES,
            feature_sizes=(3,),
            max_frames=50,
        )
        model.build(shapes)
        randomise_weights(model)
        with fixed_shapes():
            found = model(inputs)["predictions"]
            assert _operations(model, inputs).isdisjoint({"While", "Where"})
        expected = model(inputs)["predictions"]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def _operations(model, inputs):
    """Returns the kinds of operations of a model's graph."""

    @tf.function(autograph=False)
    def call(frames, num_frames):
        return model({"frames": frames, "num_frames": num_frames})

    graph = call.get_concrete_function(
        tf.TensorSpec([None, *inputs["frames"].shape[1:]]),
        tf.TensorSpec([None], tf.int32),
    ).graph
    kinds = {node.op for node in graph.as_graph_def().node}
    for function in graph.as_graph_def().library.function:
        kinds |= {node.op for node in function.node_def}
    return {kind.removeprefix("Stateless") for kind in kinds}

"""Networks at evaluation: budgets, padding and what does not fit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.network import build_network, video_inputs
from distill.settings.run import NetworkSettings
from tests.training.tiny_networks import (
    MAX_FRAMES,
    NUM_CLASSES,
    SCHEMA,
    VIDEO_SCHEMA,
    make_batch,
    make_student,
    make_video_level,
    numpy_inputs,
)

DRAWN = FrameBudget(
    "uniform_k", num_frames=5, random_offset=True, fewest_frames=2
)


def numpy_predictions(network, frames, num_frames):
    """Returns predictions of frames of norm 1, padded to the model's most."""
    missing = network.max_frames - frames.shape[1]
    frames = np.pad(frames, [(0, 0), (0, missing), (0, 0)])
    outputs = network.model({"frames": frames, "num_frames": num_frames})
    return np.asarray(outputs["predictions"])


def test_at_a_budget_a_network_is_the_same_but_for_its_frames():
    network = make_student(budget=DRAWN)
    smaller = network.at_budget(FrameBudget("nested_k", num_frames=3))
    assert smaller.model is network.model
    assert smaller.settings is network.settings
    assert network.settings.budget == DRAWN
    # Nothing is drawn that is of training alone.
    expected = FrameBudget("uniform_k", num_frames=5)
    assert network.budget == network.at_budget(DRAWN).budget == expected
    assert (network.num_frames, smaller.num_frames) == (5, 3)
    assert smaller.max_frames == network.max_frames == 5
    assert smaller.num_parameters == network.num_parameters
    assert smaller.macs == network.model.macs(3)
    assert smaller.macs < network.macs


def test_a_network_that_attends_reads_all_frames_and_classifies_few():
    budget = FrameBudget("segment_attention", num_frames=3)
    network, batch = make_student(budget=budget), make_batch()
    assert (network.num_frames, network.frames_needed) == (3, MAX_FRAMES)
    assert network.max_frames == MAX_FRAMES
    assert network.macs == network.model.macs(MAX_FRAMES)
    expected = numpy_predictions(
        network, numpy_inputs(batch, 1)["frames"], batch["num_frames"].numpy()
    )
    found = network.predict_whole(video_inputs(batch))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    raw = network.raw_model()
    assert raw.macs() == network.macs
    np.testing.assert_allclose(raw(video_inputs(batch)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("trained", "scored"),
    [
        (("segment_attention", 3), ("segment_attention", 4)),
        (("segment_attention", 3), ("segment_means", 3)),
        (("segment_means", 3), ("segment_attention", 3)),
    ],
)
def test_attention_stays_that_of_training(trained, scored):
    trained, scored = (
        FrameBudget(name, num_frames=k) for name, k in (trained, scored)
    )
    network = make_student(budget=trained)
    assert network.at_budget(trained).budget == trained
    message = f"of {trained.name} cannot be run with {scored.name}"
    with pytest.raises(ValueError, match=message):
        network.at_budget(scored)


def test_fewer_frames_are_filled_up_with_padding():
    """Eager and, each budget in a graph of its own, traced."""
    network = make_student(budget=FrameBudget("first_k", num_frames=5))
    batch = make_batch()
    normalised = numpy_inputs(batch, 1)["frames"]
    for num_read in (5, 3, 1):
        at_budget = network.at_budget(
            FrameBudget("first_k", num_frames=num_read)
        )
        frames = batch["frames"][:, :num_read]
        num_frames = tf.minimum(batch["num_frames"], num_read)
        inputs = {"frames": frames, "num_frames": num_frames}
        expected = numpy_predictions(
            network, normalised[:, :num_read], num_frames.numpy()
        )
        np.testing.assert_allclose(
            at_budget.predict(inputs), expected, atol=1e-6
        )
        if num_read > 1:
            np.testing.assert_allclose(
                at_budget.compiled_predict(inputs), expected, atol=1e-6
            )
        # What stands at or beyond `num_frames` has no effect.
        real = tf.range(num_read)[None, :, None] < num_frames[:, None, None]
        inputs["frames"] = tf.where(real, frames, tf.constant(77, tf.uint8))
        np.testing.assert_allclose(network.predict(inputs), expected, atol=1e-6)


def test_more_frames_than_the_model_was_built_for_are_an_error():
    network = make_student(budget=FrameBudget("first_k", num_frames=4))
    larger = network.at_budget(FrameBudget("uniform_k", num_frames=5))
    batch = make_batch()
    inputs = video_inputs(batch | {"frames": batch["frames"][:, :5]})
    for predict in (larger.predict, larger.compiled_predict):
        with pytest.raises(ValueError, match="at most 4 frames here, got 5"):
            predict(inputs)
    with pytest.raises(ValueError, match="at most 4 frames"):
        network.at_budget(ALL_FRAMES).predict(video_inputs(batch))


def test_a_budget_beyond_the_data_s_frames_is_an_error():
    budget = FrameBudget("first_k", num_frames=MAX_FRAMES + 1)
    with pytest.raises(ValueError, match="at most max_frames 6, got 7"):
        make_student(budget=budget)
    network = make_student().at_budget(budget)
    with pytest.raises(ValueError, match="at most max_frames 6, got 7"):
        _ = network.num_frames


def test_in_training_the_frames_are_those_drawn():
    """Offset 0.5 and, of the numbers from 2 to 5, the third: 4."""
    network = make_student(budget=DRAWN)
    batch = make_batch() | {"num_frames": tf.fill([5], MAX_FRAMES)}
    batch |= {"draws": tf.fill([5, 2], 0.5), "position": None}
    inputs = video_inputs(batch)
    assert set(inputs) == {"frames", "num_frames", "draws"}
    selected = network.select(inputs)
    np.testing.assert_array_equal(selected["num_frames"], np.full(5, 4))
    np.testing.assert_array_equal(
        selected["frames"][:, :4], batch["frames"].numpy()[:, [0, 2, 3, 5]]
    )


def test_vectors_of_videos_need_no_frames():
    network = make_video_level("student", "LogisticModel")
    features = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    found = network.predict({"features": tf.constant(features)})
    assert network.at_budget(ALL_FRAMES).num_frames == 1
    kernel, bias = (w.numpy() for w in network.model.weights)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    logits = features / norms @ kernel + bias
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "schema", "reads", "given"),
    [
        ("MoeModel", SCHEMA, "video", "frame"),
        ("LstmModel", VIDEO_SCHEMA, "frame", "video"),
    ],
)
def test_a_model_of_the_other_level_is_an_error(model, schema, reads, given):
    settings = NetworkSettings(model, registry.resolve_arguments(model, {}))
    message = (
        f"^{model} reads {reads}-level data, but --frame_features="
        f"{given == 'frame'} says that the records are {given}-level.$"
    )
    with pytest.raises(ValueError, match=message):
        build_network(settings, schema, "student")


def test_a_model_is_built_for_as_many_frames_as_its_budget_leaves():
    for budget, expected in (
        (FrameBudget.every(2), 3),
        (FrameBudget.every(4), 2),
        (DRAWN, 5),
        (ALL_FRAMES, MAX_FRAMES),
    ):
        settings = NetworkSettings("FrameLevelLogisticModel", {}, budget)
        network = build_network(settings, SCHEMA, "student")
        assert network.max_frames == network.num_frames == expected
        assert network.schema.max_frames == MAX_FRAMES
        assert network.embedding_size == SCHEMA.num_features
    assert network.model.count_params() == 5 * NUM_CLASSES + NUM_CLASSES


OF_SEGMENTS = [
    ("HierarchicalLstmModel", ALL_FRAMES, 5),
    ("HierarchicalLstmModel", FrameBudget.every(2), 3),
    ("LstmModel", FrameBudget("uniform_k", num_frames=8), 5),
    ("NetVLADModelLF", FrameBudget("segment_means", num_frames=7), 5),
    ("DbofModel", FrameBudget("segment_attention", num_frames=7), 5),
    ("NeXtVLADModel", FrameBudget("nested_k", num_frames=2), 2),
]


@pytest.mark.parametrize(("name", "budget", "num_frames"), OF_SEGMENTS)
def test_segments_need_no_padding_to_the_frames_of_videos(
    name, budget, num_frames
):
    arguments = registry.resolve_arguments(name, {}, "small")
    settings = NetworkSettings(name, arguments, budget)
    schema = dataclasses.replace(SCHEMA, max_frames=20)
    network = build_network(settings, schema, "student")
    batch = make_batch()
    frames, lengths = batch["frames"][:, :5], [5, 5, 3, 1, 2]
    inputs = {"frames": frames, "num_frames": tf.constant(lengths)}
    padded = inputs | {"frames": tf.pad(frames, [[0, 0], [0, 15], [0, 0]])}
    segments = network.of_segments()
    assert segments.of_segments() == segments
    assert segments.schema.max_frames == 5
    assert segments.num_frames == num_frames
    np.testing.assert_allclose(
        segments.predict_whole(inputs),
        network.predict_whole(padded),
        atol=1e-6,
    )

"""LSTMs and GRUs in chunks against Keras's own, forward and backward."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.models import chunked_recurrence, frame_recurrence, registry
from distill.models.chunked_recurrence import can_chunk, run_in_chunks
from distill.models.fixed_shapes import fixed_shapes
from distill.models.frame_recurrence import make_lstm, read_real_frames

STEPS, BATCH, FEATURES, CELLS = 23, 5, 3, 6
LENGTHS = np.array([23, 0, 1, 10, 17])


def make_gru(cells):
    return keras.layers.GRU(
        cells,
        return_sequences=True,
        return_state=True,
        reset_after=False,
    )


MAKERS = {"lstm": make_lstm, "gru": make_gru}


def make_layer(kind):
    keras.utils.set_random_seed(2)
    layer = MAKERS[kind](CELLS)
    layer.build((None, None, FEATURES))
    layer.cell.bias.assign(keras.random.normal(layer.cell.bias.shape))
    return layer


def make_inputs():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(BATCH, STEPS, FEATURES)).astype(np.float32)
    return tf.constant(inputs), np.arange(STEPS) < LENGTHS[:, None]


def differentiate(run, layer, inputs, mask):
    """Returns states, real outputs and the gradients of a mix of them."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, *states = run(inputs)
        outputs = tf.where(mask[..., None], outputs, 0.0)
        mixed = tf.reduce_sum(outputs**2 * 0.3)
        for power, state in enumerate(states, 2):
            mixed += tf.reduce_sum(state**power)
    sources = [*layer.trainable_variables, inputs]
    return [*states, outputs, *tape.gradient(mixed, sources)]


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_outputs_states_and_gradients_are_keras_s(kind, masked, graph):
    layer = make_layer(kind)
    inputs, mask = make_inputs()
    mask = tf.constant(mask if masked else np.ones_like(mask))

    def run(inputs):
        is_real = tf.transpose(mask)[..., None]
        outputs, *states = run_in_chunks(
            layer, tf.transpose(inputs, [1, 0, 2]), is_real
        )
        return tf.transpose(outputs, [1, 0, 2]), *states

    def differentiate_ours(inputs):
        return differentiate(run, layer, inputs, mask)

    if graph:
        differentiate_ours = tf.function(differentiate_ours)
    found = differentiate_ours(inputs)
    expected = differentiate(
        lambda inputs: layer(inputs, mask=mask), layer, inputs, mask
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        assert np.abs(other).max() > 0.01


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("longest", [0, 9, 10, 11])
def test_chunks_beyond_the_longest_sequence_are_not_computed(
    longest, kind, graph
):
    """Values that are no numbers would spoil the gradients."""
    layer = make_layer(kind)
    inputs, _ = make_inputs()
    lengths = np.minimum(LENGTHS, longest)
    mask = np.arange(STEPS) < lengths[:, None]
    computed = max(-(-longest // 10), 1) * 10
    spoiled = inputs.numpy()
    spoiled[:, computed:] = np.nan

    def differentiate_ours(inputs):
        def run(inputs):
            outputs, *states = run_in_chunks(
                layer,
                tf.transpose(inputs, [1, 0, 2]),
                tf.constant(mask.T[..., None]),
            )
            return tf.transpose(outputs[:computed], [1, 0, 2]), *states

        return differentiate(run, layer, inputs, mask[:, :computed])

    if graph:
        differentiate_ours = tf.function(differentiate_ours)
    *found, found_inputs = differentiate_ours(tf.constant(spoiled))
    *expected, expected_inputs = differentiate(
        lambda inputs: layer(inputs, mask=mask[:, :computed]),
        layer,
        inputs[:, :computed],
        mask[:, :computed],
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        found_inputs[:, :computed], expected_inputs, rtol=1e-5, atol=1e-5
    )
    assert not np.any(found_inputs[:, computed:])


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 0.01)]
)
@pytest.mark.parametrize("name", ["LstmModel", "GruModel"])
def test_models_predict_as_with_keras_s_loops(
    monkeypatch, name, precision, tolerance
):
    monkeypatch.setattr(chunked_recurrence, "_LEAST_CELLS", CELLS)
    model = registry.build_model(
        name,
        arguments={f"{name[:-5].lower()}_cells": CELLS},
        num_classes=4,
        feature_sizes=(FEATURES,),
        max_frames=STEPS,
        precision=precision,
    )
    frames, _ = make_inputs()
    inputs = {"frames": frames, "num_frames": LENGTHS.astype(np.int32)}
    found = model(inputs)["predictions"]
    monkeypatch.setattr(frame_recurrence, "can_chunk", lambda *_: False)
    expected = model(inputs)["predictions"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    assert np.ptp(expected, axis=0).max() > 0.01


@pytest.mark.parametrize("return_sequences", [False, True])
def test_a_large_layer_reads_real_frames_in_chunks(
    monkeypatch, return_sequences
):
    monkeypatch.setattr(chunked_recurrence, "_LEAST_CELLS", CELLS)
    calls = []

    def count(*arguments):
        calls.append(len(arguments))
        return run_in_chunks(*arguments)

    monkeypatch.setattr(frame_recurrence, "run_in_chunks", count)
    layer = make_layer("lstm")
    layer.return_sequences = return_sequences
    inputs, _ = make_inputs()
    outputs, states = read_real_frames(layer, inputs, tf.constant(LENGTHS))
    assert calls
    monkeypatch.setattr(frame_recurrence, "can_chunk", lambda *_: False)
    expected, expected_states = read_real_frames(
        layer, inputs, tf.constant(LENGTHS)
    )
    for one, other in zip(states, expected_states, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    if not return_sequences:
        outputs, expected = outputs[:, None], expected[:, None]
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(
            outputs[row, :length], expected[row, :length], rtol=0, atol=1e-6
        )


def test_large_layers_with_usual_activations_are_read_in_chunks():
    assert can_chunk(make_lstm(256), 300)
    assert can_chunk(make_gru(1024), 30)
    assert not can_chunk(make_lstm(255), 300)
    assert not can_chunk(make_lstm(256), None)
    assert not can_chunk(make_lstm(256, gates="hard_sigmoid"), 300)
    assert not can_chunk(keras.layers.GRU(256, reset_after=True), 300)
    with fixed_shapes():
        assert not can_chunk(make_lstm(256), 300)


@pytest.mark.parametrize(
    ("backend", "gpus"), [("jax", []), ("tensorflow", ["gpu:0"])]
)
def test_other_backends_and_gpus_keep_keras_s_loops(monkeypatch, backend, gpus):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda _: gpus)
    assert not can_chunk(make_lstm(256), 300)

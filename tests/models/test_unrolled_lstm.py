"""The unrolled LSTM against Keras's own, forward and backward."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.models.unrolled_lstm import can_unroll, run_unrolled

STEPS, BATCH, FEATURES, CELLS = 4, 5, 3, 6
LENGTHS = np.array([4, 0, 1, 3, 2])


def make_lstm():
    keras.utils.set_random_seed(2)
    lstm = keras.layers.LSTM(CELLS, return_sequences=True, return_state=True)
    lstm.build((None, None, FEATURES))
    lstm.cell.bias.assign(keras.random.normal(lstm.cell.bias.shape))
    return lstm


def make_inputs():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(BATCH, STEPS, FEATURES)).astype(np.float32)
    return tf.constant(inputs), np.arange(STEPS) < LENGTHS[:, None]


def differentiate(run, lstm, inputs, mask):
    """Returns `h`, `c`, real outputs and the gradients of a mix of them."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, h, c = run(inputs)
        outputs = tf.where(mask[..., None], outputs, 0.0)
        mixed = tf.reduce_sum(outputs**2 * 0.3) + tf.reduce_sum(h**3 + 2 * c)
    return [h, c, outputs, *tape.gradient(mixed, [*lstm.variables[:3], inputs])]


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_states_and_gradients_are_keras_s(masked, graph):
    lstm = make_lstm()
    inputs, mask = make_inputs()
    mask = tf.constant(mask if masked else np.ones_like(mask))

    def run(inputs):
        outputs, h, c = run_unrolled(
            lstm, tf.transpose(inputs, [1, 0, 2]), tf.transpose(mask)[..., None]
        )
        return tf.transpose(outputs, [1, 0, 2]), h, c

    def differentiate_ours(inputs):
        return differentiate(run, lstm, inputs, mask)

    if graph:
        differentiate_ours = tf.function(differentiate_ours)
    found = differentiate_ours(inputs)
    expected = differentiate(
        lambda inputs: lstm(inputs, mask=mask), lstm, inputs, mask
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
        assert np.abs(other).max() > 0.01


def test_long_sequences_and_unknown_lengths_are_not_unrolled():
    assert can_unroll(1)
    assert can_unroll(32)
    assert not can_unroll(33)
    assert not can_unroll(None)


@pytest.mark.parametrize(
    ("backend", "gpus"), [("jax", []), ("tensorflow", ["gpu:0"])]
)
def test_other_backends_and_gpus_keep_keras_s_lstm(monkeypatch, backend, gpus):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: gpus)
    assert not can_unroll(4)

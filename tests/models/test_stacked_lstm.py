"""Stacked LSTMs against an LSTM written out in NumPy."""

import numpy as np
import pytest

from distill.models.stacked_lstm import StackedLstm
from tests.layer_checks import check_layer
from tests.numpy_layers import final_states, make_lstm_weights
from tests.videos import make_sequences

STEPS, FEATURES, CELLS = 5, 6, 4


def make_with_weights(layers, **arguments):
    """Returns a built layer and its weights, layer by layer."""
    layer = StackedLstm(CELLS, layers, **arguments)
    layer.build((None, STEPS, FEATURES))
    rng = np.random.default_rng(2)
    weights = make_lstm_weights(FEATURES, CELLS, layers, rng)
    for lstm, arrays in zip(layer.lstms, weights, strict=True):
        lstm.set_weights(list(arrays))
    return layer, weights


@pytest.mark.parametrize("layers", [1, 2])
def test_stacked_lstm_passes_the_layer_checks(layers):
    check_layer(lambda: StackedLstm(CELLS, layers), make_sequences)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_final_states_are_those_after_the_last_real_step(layers):
    layer, weights = make_with_weights(layers)
    sequences, _ = make_sequences(STEPS + 1)
    lengths = np.arange(STEPS + 1)
    expected = [
        final_states(sequence[:length], weights)
        for sequence, length in zip(sequences, lengths, strict=True)
    ]
    np.testing.assert_allclose(layer(sequences, lengths), expected, atol=1e-6)


def test_dropout_acts_in_training_alone_and_between_layers_alone():
    sequences, lengths = make_sequences(4)
    one, _ = make_with_weights(1, dropout=0.9)
    np.testing.assert_array_equal(
        one(sequences, lengths, training=True), one(sequences, lengths)
    )
    two, weights = make_with_weights(2, dropout=0.9)
    trained = np.asarray(two(sequences, lengths, training=True))
    scored = np.asarray(two(sequences, lengths))
    first, second = np.split(np.arange(4 * CELLS), 2)
    np.testing.assert_array_equal(trained[:, first], scored[:, first])
    assert np.abs(trained[:, second] - scored[:, second]).max() > 0.01
    np.testing.assert_allclose(
        scored[0], final_states(sequences[0], weights), atol=1e-6
    )

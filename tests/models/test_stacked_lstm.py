"""Stacked LSTMs against an LSTM written out in NumPy."""

import numpy as np
import pytest

from distill.models.stacked_lstm import StackedLstm
from tests.layer_checks import check_layer
from tests.numpy_lstm import final_states, make_weights

STEPS, FEATURES, CELLS = 5, 3, 4


def make_inputs(batch_size):
    rng = np.random.default_rng(1)
    sequences = rng.normal(size=(batch_size, STEPS, FEATURES))
    lengths = STEPS - np.arange(batch_size, dtype=np.int32) % STEPS
    return sequences.astype(np.float32), lengths


def make_with_weights(layers, **arguments):
    """Returns a built layer and its weights, layer by layer."""
    layer = StackedLstm(CELLS, layers, **arguments)
    layer.build((None, STEPS, FEATURES))
    weights = make_weights(FEATURES, CELLS, layers, np.random.default_rng(2))
    for lstm, arrays in zip(layer.lstms, weights, strict=True):
        lstm.set_weights(list(arrays))
    return layer, weights


@pytest.mark.parametrize("layers", [1, 2])
def test_stacked_lstm_passes_the_layer_checks(layers):
    check_layer(lambda: StackedLstm(CELLS, layers), make_inputs)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_final_states_are_those_after_the_last_real_step(layers):
    layer, weights = make_with_weights(layers)
    sequences, _ = make_inputs(STEPS + 1)
    lengths = np.arange(STEPS + 1)
    expected = [
        final_states(sequence[:length], weights)
        for sequence, length in zip(sequences, lengths, strict=True)
    ]
    np.testing.assert_allclose(layer(sequences, lengths), expected, atol=1e-6)


def test_a_sequence_of_length_zero_ends_in_the_zero_state():
    layer, _ = make_with_weights(2)
    sequences, _ = make_inputs(2)
    states = layer(sequences, np.zeros(2, np.int32))
    np.testing.assert_array_equal(states, np.zeros((2, 2 * 2 * CELLS)))


def test_steps_beyond_the_length_change_nothing():
    layer, _ = make_with_weights(2)
    sequences, lengths = make_inputs(4)
    garbage = sequences.copy()
    for row, length in zip(garbage, lengths, strict=True):
        row[length:] = 1e6
    np.testing.assert_array_equal(
        layer(garbage, lengths), layer(sequences, lengths)
    )


def test_dropout_acts_in_training_alone_and_between_layers_alone():
    sequences, lengths = make_inputs(4)
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


@pytest.mark.parametrize("layers", [1, 3])
def test_macs_are_one_for_every_kernel_entry_and_step(layers):
    layer, weights = make_with_weights(layers)
    entries = sum(kernel.size + state.size for kernel, state, _ in weights)
    assert layer.macs(7, FEATURES) == 7 * entries


@pytest.mark.parametrize(("cells", "layers"), [(0, 2), (4, 0)])
def test_no_cell_or_no_layer_is_an_error(cells, layers):
    with pytest.raises(ValueError, match=f"got {cells} cells and {layers} lay"):
        StackedLstm(cells, layers)

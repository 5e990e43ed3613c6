"""Layers written out in NumPy, in float64, to compare with.

LSTM: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation
1997, with forget gates (Gers et al. 2000). GRU: Cho et al., "Learning phrase
representations using RNN encoder-decoder for statistical machine translation",
EMNLP 2014, equations 5 to 8.
"""

from collections.abc import Sequence

import keras
import numpy as np

Weights = Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Returns the logistic function of every value."""
    return 1 / (1 + np.exp(-values))


def softmax(values: np.ndarray) -> np.ndarray:
    """Returns the softmax over the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def unit(values: np.ndarray) -> np.ndarray:
    """Returns a vector over its norm."""
    return values / np.linalg.norm(values)


def dense_relu(values: np.ndarray, *layers: keras.layers.Dense) -> np.ndarray:
    """Returns the outputs of dense layers with ReLU, one after another."""
    for dense in layers:
        kernel, bias = dense.get_weights()
        values = np.maximum(values @ kernel + bias, 0)
    return values


def batch_norm(
    values: np.ndarray, layer: keras.layers.BatchNormalization
) -> np.ndarray:
    """Returns the values as a batch norm gives them outside training."""
    gamma, beta, mean, variance = (
        np.asarray(weight, np.float64) for weight in layer.get_weights()
    )
    return (values - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def normalized_dense(values: np.ndarray, layer: keras.Layer) -> np.ndarray:
    """Returns the outputs of a `NormalizedDense` outside training."""
    products = values @ np.asarray(layer.kernel, np.float64)
    if layer.norm is None:
        return products + np.asarray(layer.bias)
    return batch_norm(products, layer.norm)


def make_lstm_weights(
    features: int, cells: int, layers: int, rng: np.random.Generator
) -> Weights:
    """Returns random kernel, recurrent kernel and bias of every layer."""
    widths = [features] + [cells] * (layers - 1)
    return [
        (
            rng.normal(0, 0.5, (width, 4 * cells)),
            rng.normal(0, 0.5, (cells, 4 * cells)),
            rng.normal(0, 0.5, (4 * cells,)),
        )
        for width in widths
    ]


def final_states(sequence: np.ndarray, weights: Weights) -> np.ndarray:
    """Reads one sequence by LSTMs, step by step from a zero state.

    Args:
      sequence: `[steps, features]`, real steps alone.
      weights: Kernel `[features, 4 * cells]`, recurrent kernel
        `[cells, 4 * cells]` and bias of every layer; the columns are the
        gates i, f, c, o as in Keras.

    Returns:
      `[layers * 2 * cells]`: c and h of the first layer, then of the second.
    """
    states = []
    for kernel, recurrent_kernel, bias in weights:
        cells = len(recurrent_kernel)
        c, h, outputs = np.zeros(cells), np.zeros(cells), []
        for step in sequence:
            gates = step @ kernel + h @ recurrent_kernel + bias
            i, f, candidate, o = np.split(gates, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        states += [c, h]
        sequence = np.array(outputs)
    return np.concatenate(states)


def lstm_outputs(sequence: np.ndarray, lstm: keras.layers.LSTM) -> np.ndarray:
    """Returns a Keras LSTM's output `[steps, cells]` after every step."""
    weights = [lstm.get_weights()]
    outputs = [
        final_states(sequence[: step + 1], weights)[lstm.units :]
        for step in range(len(sequence))
    ]
    return np.array(outputs).reshape(-1, lstm.units)


def gru_outputs(sequence: np.ndarray, gru: keras.layers.GRU) -> np.ndarray:
    """Returns a Keras GRU's output `[steps, cells]` after every step.

    The columns of its kernels are update gate, reset gate and candidate.
    """
    kernel, recurrent_kernel, bias = gru.get_weights()
    of_update, of_reset, of_candidate = np.split(recurrent_kernel, 3, axis=1)
    h, outputs = np.zeros(gru.units), []
    for step in sequence:
        update_x, reset_x, candidate_x = np.split(step @ kernel + bias, 3)
        update = sigmoid(update_x + h @ of_update)
        reset = sigmoid(reset_x + h @ of_reset)
        candidate = np.tanh(candidate_x + (reset * h) @ of_candidate)
        h = update * h + (1 - update) * candidate
        outputs.append(h)
    return np.array(outputs).reshape(-1, gru.units)

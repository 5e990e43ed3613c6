"""An LSTM written out in NumPy, to compare with.

Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997,
with forget gates (Gers et al. 2000).
"""

from collections.abc import Sequence

import numpy as np

Weights = tuple[np.ndarray, np.ndarray, np.ndarray]


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Returns the logistic function of every value."""
    return 1 / (1 + np.exp(-values))


def make_weights(
    features: int, cells: int, layers: int, rng: np.random.Generator
) -> list[Weights]:
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


def final_states(
    sequence: np.ndarray, weights: Sequence[Weights]
) -> np.ndarray:
    """Reads one sequence step by step from a zero state.

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

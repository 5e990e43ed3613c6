"""A GRU written out in NumPy, to compare with.

Cho et al., "Learning phrase representations using RNN encoder-decoder for
statistical machine translation", EMNLP 2014, equations 5 to 8.
"""

from collections.abc import Sequence

import numpy as np

from tests.numpy_lstm import sigmoid

Weights = tuple[np.ndarray, np.ndarray, np.ndarray]


def all_outputs(
    sequence: np.ndarray, weights: Sequence[Weights]
) -> list[np.ndarray]:
    """Reads one sequence step by step from a zero state.

    Args:
      sequence: `[steps, features]`, real steps alone.
      weights: Kernel `[features, 3 * cells]`, recurrent kernel
        `[cells, 3 * cells]` and bias of every layer; the columns are the
        update gate, the reset gate and the candidate, as in Keras.

    Returns:
      `[steps, cells]` of every layer.
    """
    outputs = []
    for kernel, recurrent_kernel, bias in weights:
        cells = len(recurrent_kernel)
        h, layer_outputs = np.zeros(cells), np.zeros((0, cells))
        for step in sequence:
            update_x, reset_x, candidate_x = np.split(step @ kernel + bias, 3)
            of_update, of_reset, of_candidate = np.split(
                recurrent_kernel, 3, axis=1
            )
            update = sigmoid(update_x + h @ of_update)
            reset = sigmoid(reset_x + h @ of_reset)
            candidate = np.tanh(candidate_x + (reset * h) @ of_candidate)
            h = update * h + (1 - update) * candidate
            layer_outputs = np.vstack([layer_outputs, h])
        outputs.append(layer_outputs)
        sequence = layer_outputs
    return outputs

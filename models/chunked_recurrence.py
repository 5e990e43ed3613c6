"""Long LSTMs and GRUs in chunks of steps, each as a short one runs.

Keras's loop multiplies the inputs of every step by the kernel, and adds to the
gradients of both kernels in every step. A chunk does each by one product.
"""

import keras
from keras import ops

from distill.models.fixed_shapes import shapes_are_fixed
from distill.models.keras_private import loop_over_time
from distill.models.unrolled_gru import run_gru_steps, zero_gru_state
from distill.models.unrolled_lstm import run_lstm_steps, zero_lstm_state

_CHUNK = 10
# Smaller layers are no faster in chunks, and the graph takes longer to build.
_LEAST_CELLS = 256


def can_chunk(layer: keras.layers.RNN, steps: int | None) -> bool:
    """Returns whether `run_in_chunks` is used for sequences of so many steps.

    On a GPU TensorFlow has cuDNN, other backends keep Keras's loops.
    """
    return (
        keras.backend.backend() == "tensorflow"
        and steps is not None
        and layer.units >= _LEAST_CELLS
        and _is_plain(layer)
        and not shapes_are_fixed()
        and not keras.distribution.list_devices("gpu")
    )


def _is_plain(layer: keras.layers.RNN) -> bool:
    gates, states = keras.activations.sigmoid, keras.activations.tanh
    cell = layer.cell
    return (cell.recurrent_activation, cell.activation) == (gates, states) and (
        isinstance(layer, keras.layers.LSTM) or not cell.reset_after
    )


def run_in_chunks(layer: keras.layers.RNN, inputs, is_real):
    """Runs a built LSTM or GRU over its inputs from a zero state.

    Args:
      layer: A layer with Keras's default activations and a bias; a GRU with
        `reset_after=False`.
      inputs: `[steps, batch, features]` floats of its compute type; the number
        of steps is known.
      is_real: Booleans `[steps, batch, 1]`: the steps that count, each
        sequence's first ones.

    Returns:
      The outputs `[steps, batch, cells]`, undefined at steps that do not
      count, and the arrays of the final state, `h` and of an LSTM `c`,
      `[batch, cells]`, all of the inputs' type. The chunks after the last step
      that counts are not computed: their outputs are zeros.
    """
    is_lstm = isinstance(layer, keras.layers.LSTM)
    run = run_lstm_steps if is_lstm else run_gru_steps
    zeros = zero_lstm_state if is_lstm else zero_gru_state
    steps = inputs.shape[0]
    chunks = -(-steps // _CHUNK)

    def divide(values):
        missing = chunks * _CHUNK - steps
        values = ops.pad(values, [[0, missing], [0, 0], [0, 0]])
        shape = (chunks, _CHUNK, ops.shape(values)[1], values.shape[2])
        return ops.reshape(values, shape)

    def run_chunk(chunk, state):
        outputs, *state = run(layer, *chunk, state)
        return outputs, state

    divided = divide(inputs), divide(is_real)
    read = _count_read(divided[1])
    outputs, state = loop_over_time(
        run_chunk,
        tuple(values[:read] for values in divided),
        zeros(layer, inputs),
        chunks,
    )
    outputs = ops.pad(outputs, [[0, chunks - read], [0, 0], [0, 0], [0, 0]])
    shape = (chunks * _CHUNK, ops.shape(inputs)[1], layer.units)
    outputs = ops.reshape(outputs, shape)[:steps]
    return [ops.cast(values, inputs.dtype) for values in (outputs, *state)]


def _count_read(is_real):
    """Returns the chunks up to the last one in which a step counts, or 1."""
    counts = ops.any(is_real, axis=(1, 2, 3))
    numbers = ops.arange(1, is_real.shape[0] + 1, dtype="int32")
    return ops.max(ops.where(counts, numbers, 1))

"""A short LSTM step by step, its matrix products gathered over the steps.

It computes the same as Keras's LSTM, faster for few steps on a CPU.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
from keras import ops

from distill.models.fixed_shapes import shapes_are_fixed
from distill.models.unrolled_steps import (
    input_gradients,
    input_sums,
    run_steps,
    transpose_in_memory,
)

_MOST_STEPS = 32
_CHOICE: contextvars.ContextVar[bool | None] = contextvars.ContextVar(
    "unrolling", default=None
)


@contextlib.contextmanager
def unrolling(chosen: bool) -> Iterator[None]:
    """Sets in the body whether LSTMs are unrolled, on any machine."""
    token = _CHOICE.set(chosen)
    try:
        yield
    finally:
        _CHOICE.reset(token)


def can_unroll(steps: int | None) -> bool:
    """Returns whether `run_unrolled` is used for sequences of so many steps.

    On a GPU TensorFlow has cuDNN, other backends keep Keras's loops. Where
    shapes are fixed every loop is unrolled.
    """
    if shapes_are_fixed():
        return True
    if steps is not None and _CHOICE.get() is not None:
        return bool(_CHOICE.get())
    return (
        keras.backend.backend() == "tensorflow"
        and steps is not None
        and steps <= _MOST_STEPS
        and not keras.distribution.list_devices("gpu")
    )


def run_unrolled(lstm: keras.layers.LSTM, inputs, is_real):
    """Runs a built LSTM from a zero state.

    Args:
      lstm: A layer with Keras's default activations and a bias.
      inputs: `[steps, batch, features]` floats of its compute type; the number
        of steps is known.
      is_real: Booleans `[steps, batch, 1]`: the steps that count; others leave
        the state unchanged.

    Returns:
      The outputs `[steps, batch, cells]` and the final `h` and `c`,
      `[batch, cells]`, of the inputs' type.
    """
    outputs, h, c = run_lstm_steps(
        lstm, inputs, is_real, zero_lstm_state(lstm, inputs)
    )
    return outputs, h, ops.cast(c, inputs.dtype)


def zero_lstm_state(lstm: keras.layers.LSTM, inputs):
    """Returns zeros `[batch, cells]`: `h` of the inputs' type, `c` float32."""
    zeros = ops.zeros((ops.shape(inputs)[1], lstm.units))
    return ops.cast(zeros, inputs.dtype), zeros


def run_lstm_steps(lstm: keras.layers.LSTM, inputs, is_real, state):
    """Runs a built LSTM from a state, as `run_unrolled` does from zeros.

    Args:
      lstm: As in `run_unrolled`.
      inputs: The same.
      is_real: The same.
      state: `h` of the inputs' type and `c` float32, `[batch, cells]`.

    Returns:
      The outputs `[steps, batch, cells]` and the final `h` and `c`.
    """

    def make_steps(*arguments):
        return _Steps(is_real, *arguments)

    return run_steps(make_steps, lstm.cell, inputs, state)


class _Steps:
    """The forward steps, with all values that the backward steps need.

    Gates and states are float32, whatever the type of the products.
    """

    def __init__(self, is_real, inputs, h, c, kernel, recurrent_kernel, bias):
        self.inputs = inputs
        self.kernel = kernel
        self.recurrent_kernel = recurrent_kernel
        self.is_real = is_real
        sums = input_sums(inputs, kernel, bias)
        self.before, self.gates, self.outputs = [], [], []
        for step in range(inputs.shape[0]):
            self.before.append((h, c))
            h, c = self._step(sums[step], h, c, is_real[step])
            self.outputs.append(h)
        self.state = h, c

    def _step(self, sums, h, c, is_real):
        sums = ops.cast(sums + ops.matmul(h, self.recurrent_kernel), "float32")
        i, f, g, o = ops.split(sums, 4, axis=1)
        i, f, o = ops.sigmoid(i), ops.sigmoid(f), ops.sigmoid(o)
        g = ops.tanh(g)
        new_c = f * c + i * g
        tanh_c = ops.tanh(new_c)
        self.gates.append((i, f, g, o, tanh_c))
        new_h = ops.cast(o * tanh_c, h.dtype)
        return ops.where(is_real, new_h, h), ops.where(is_real, new_c, c)

    def gradient(self, d_outputs, d_h, d_c):
        """Returns the gradients of inputs, state, kernels and bias."""
        dtype = self.inputs.dtype
        transposed = transpose_in_memory(self.recurrent_kernel)
        d_h = ops.cast(d_h, "float32")
        d_sums = []
        for step in reversed(range(len(self.outputs))):
            d_h += ops.cast(d_outputs[step], "float32")
            d_sum, d_kept, d_c = self._step_back(step, d_h, d_c)
            d_sum = ops.cast(d_sum, dtype)
            d_sums.append(d_sum)
            d_h = d_kept + ops.cast(ops.matmul(d_sum, transposed), "float32")
        d_sums = ops.concatenate(d_sums[::-1], axis=0)
        states = ops.concatenate([h for h, _ in self.before], axis=0)
        d_recurrent = ops.matmul(ops.transpose(states), d_sums)
        d_inputs, d_kernel, d_bias = input_gradients(
            self.inputs, self.kernel, d_sums
        )
        state = ops.cast(d_h, dtype), d_c
        return d_inputs, *state, d_kernel, d_recurrent, d_bias

    def _step_back(self, step, d_h, d_c):
        """Returns the gradients of a step's sums, its kept `h` and its `c`."""
        is_real = self.is_real[step]
        i, f, g, o, tanh_c = self.gates[step]
        _, c = self.before[step]
        d_new_c = d_c + d_h * o * (1 - tanh_c * tanh_c)
        d_sum = ops.concatenate(
            [
                d_new_c * g * (i * (1 - i)),
                d_new_c * c * (f * (1 - f)),
                d_new_c * i * (1 - g * g),
                d_h * tanh_c * (o * (1 - o)),
            ],
            axis=1,
        )
        return (
            ops.where(is_real, d_sum, 0.0),
            ops.where(is_real, 0.0, d_h),
            ops.where(is_real, d_new_c * f, d_c),
        )

"""A short LSTM step by step, its matrix products gathered over the steps.

It computes the same as Keras's LSTM, faster for few steps on a CPU.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
from keras import ops

from distill.models.fixed_shapes import shapes_are_fixed
from distill.models.keras_private import sigmoid_gradient, tanh_gradient
from distill.models.unrolled_steps import (
    SequenceEnds,
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
      is_real: Booleans `[steps, batch, 1]`: the steps that count, each
        sequence's first ones.

    Returns:
      The outputs `[steps, batch, cells]`, undefined at steps that do not
      count, and the final `h` and `c`, `[batch, cells]`, of the inputs' type.
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
      The outputs `[steps, batch, cells]`, undefined at steps that do not
      count, and the final `h` and `c`.
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
        self.ends = SequenceEnds(is_real)
        sums = input_sums(inputs, kernel, bias)
        all_h, self.all_c, self.gates = [h], [c], []
        for step in range(inputs.shape[0]):
            h, c = self._step(sums[step], h, c)
            all_h.append(h)
            self.all_c.append(c)
        self.all_h = ops.concatenate(all_h, axis=0)
        self.outputs = self.ends.after_steps(self.all_h)
        last_c = self.ends.take(ops.concatenate(self.all_c, axis=0))
        self.state = self.ends.take(self.all_h), last_c

    def _step(self, sums, h, c):
        sums = ops.cast(sums + ops.matmul(h, self.recurrent_kernel), "float32")
        i, f, g, o = ops.split(sums, 4, axis=1)
        i, f, o = ops.sigmoid(i), ops.sigmoid(f), ops.sigmoid(o)
        g = ops.tanh(g)
        new_c = f * c + i * g
        tanh_c = ops.tanh(new_c)
        self.gates.append((i, f, g, o, tanh_c))
        return ops.cast(o * tanh_c, h.dtype), new_c

    def gradient(self, d_outputs, d_h, d_c):
        """Returns the gradients of inputs, state, kernels and bias."""
        dtype = self.inputs.dtype
        transposed = transpose_in_memory(self.recurrent_kernel)
        d_first_h, d_all_h = self.ends.put(ops.cast(d_h, "float32"))
        d_first_c, d_all_c = self.ends.put(d_c)
        d_all_h = d_all_h + ops.cast(d_outputs, "float32")
        d_h, d_c, d_sums = 0.0, 0.0, []
        for step in reversed(range(len(self.gates))):
            d_sum, d_c = self._step_back(
                step, d_h + d_all_h[step], d_c + d_all_c[step]
            )
            d_sum = ops.cast(d_sum, dtype)
            d_sums.append(d_sum)
            d_h = ops.cast(ops.matmul(d_sum, transposed), "float32")
        d_sums = ops.concatenate(d_sums[::-1], axis=0)
        before = self.ends.before_steps(self.all_h)
        d_recurrent = ops.matmul(ops.transpose(before), d_sums)
        d_inputs, d_kernel, d_bias = input_gradients(
            self.inputs, self.kernel, d_sums
        )
        state = ops.cast(d_h + d_first_h, dtype), d_c + d_first_c
        return d_inputs, *state, d_kernel, d_recurrent, d_bias

    def _step_back(self, step, d_h, d_c):
        """Returns the gradients of a step's sums and of `c` before it."""
        i, f, g, o, tanh_c = self.gates[step]
        d_c = d_c + tanh_gradient(tanh_c, d_h * o)
        d_sum = ops.concatenate(
            [
                sigmoid_gradient(i, d_c * g),
                sigmoid_gradient(f, d_c * self.all_c[step]),
                tanh_gradient(g, d_c * i),
                sigmoid_gradient(o, d_h * tanh_c),
            ],
            axis=1,
        )
        return d_sum, d_c * f

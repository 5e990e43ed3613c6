"""The steps of a short GRU, its matrix products gathered over the steps.

It computes the same as Keras's GRU whose reset gate is applied to the state
before the product (`reset_after=False`).
"""

import keras
from keras import ops

from distill.models.keras_private import sigmoid_gradient, tanh_gradient
from distill.models.unrolled_steps import (
    SequenceEnds,
    input_gradients,
    input_sums,
    run_steps,
    transpose_in_memory,
)


def run_gru_steps(gru: keras.layers.GRU, inputs, is_real, state):
    """Runs a built GRU from a state.

    Args:
      gru: A layer with Keras's default activations, a bias and
        `reset_after=False`.
      inputs: `[steps, batch, features]` floats of its compute type; the number
        of steps is known.
      is_real: Booleans `[steps, batch, 1]`: the steps that count, each
        sequence's first ones.
      state: `h` float32 `[batch, cells]`, alone in a tuple.

    Returns:
      The outputs `[steps, batch, cells]`, undefined at steps that do not
      count, and the final `h`, float32.
    """

    def make_steps(*arguments):
        return _Steps(is_real, *arguments)

    return run_steps(make_steps, gru.cell, inputs, state)


def zero_gru_state(gru: keras.layers.GRU, inputs):
    """Returns float32 zeros `[batch, cells]`, alone in a tuple."""
    return (ops.zeros((ops.shape(inputs)[1], gru.units)),)


class _Steps:
    """The forward steps, with all values that the backward steps need.

    Gates and states are float32, whatever the type of the products.
    """

    def __init__(self, is_real, inputs, h, kernel, recurrent_kernel, bias):
        self.inputs = inputs
        self.kernel = kernel
        self.ends = SequenceEnds(is_real)
        self.cells = recurrent_kernel.shape[0]
        self.of_gates = recurrent_kernel[:, : 2 * self.cells]
        self.of_candidate = recurrent_kernel[:, 2 * self.cells :]
        sums = input_sums(inputs, kernel, bias)
        self.before, self.gates = [], []
        for step in range(inputs.shape[0]):
            self.before.append(h)
            h = self._step(sums[step], h)
        all_h = ops.concatenate([*self.before, h], axis=0)
        self.outputs = self.ends.after_steps(all_h)
        self.state = (self.ends.take(all_h),)

    def _multiply(self, values, kernel):
        product = ops.matmul(ops.cast(values, self.inputs.dtype), kernel)
        return ops.cast(product, "float32")

    def _step(self, sums, h):
        sums = ops.cast(sums, "float32")
        gates = ops.sigmoid(
            sums[:, : 2 * self.cells] + self._multiply(h, self.of_gates)
        )
        z, r = ops.split(gates, 2, axis=1)
        reset = r * h
        candidate = ops.tanh(
            sums[:, 2 * self.cells :] + self._multiply(reset, self.of_candidate)
        )
        self.gates.append((z, r, candidate, reset))
        return z * h + (1 - z) * candidate

    def gradient(self, d_outputs, d_h):
        """Returns the gradients of inputs, state, kernels and bias."""
        dtype = self.inputs.dtype
        transposed = [
            transpose_in_memory(kernel)
            for kernel in (self.of_gates, self.of_candidate)
        ]
        d_first, d_states = self.ends.put(d_h)
        d_states = d_states + d_outputs
        d_h, d_sums = 0.0, []
        for step in reversed(range(len(self.gates))):
            d_sum, d_h = self._step_back(
                step, d_h + d_states[step], *transposed
            )
            d_sums.append(ops.cast(d_sum, dtype))
        d_sums = ops.concatenate(d_sums[::-1], axis=0)
        of_gates, of_candidate = ops.split(d_sums, [2 * self.cells], axis=1)
        resets = [reset for *_, reset in self.gates]
        d_recurrent = ops.concatenate(
            [
                self._recurrent_gradient(self.before, of_gates),
                self._recurrent_gradient(resets, of_candidate),
            ],
            axis=1,
        )
        d_inputs, d_kernel, d_bias = input_gradients(
            self.inputs, self.kernel, d_sums
        )
        return d_inputs, d_h + d_first, d_kernel, d_recurrent, d_bias

    def _recurrent_gradient(self, factors, d_sums):
        rows = ops.cast(ops.concatenate(factors, axis=0), d_sums.dtype)
        return ops.matmul(ops.transpose(rows), d_sums)

    def _step_back(self, step, d_new, from_gates, from_candidate):
        """Returns the gradients of a step's sums and of the state before it."""
        z, r, candidate, _ = self.gates[step]
        h = self.before[step]
        d_candidate = tanh_gradient(candidate, d_new * (1 - z))
        d_reset = self._multiply(d_candidate, from_candidate)
        d_gates = ops.concatenate(
            [
                sigmoid_gradient(z, d_new * (h - candidate)),
                sigmoid_gradient(r, d_reset * h),
            ],
            axis=1,
        )
        d_before = d_new * z + d_reset * r + self._multiply(d_gates, from_gates)
        return ops.concatenate([d_gates, d_candidate], axis=1), d_before

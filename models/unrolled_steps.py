"""What unrolled recurrent layers share: products gathered over the steps.

The inputs are multiplied by the kernel once, before the steps, and a weight's
gradient is one product after them; in a loop every step would read and write a
matrix of the weights' size. The backward steps multiply by a recurrent kernel
that is transposed once.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from distill.models.fixed_shapes import shapes_are_fixed


def run_steps(
    make_steps: Callable[..., Any], cell: keras.layers.Layer, inputs, state
):
    """Runs unrolled steps, with their own gradient.

    Args:
      make_steps: Called with the inputs, the state's arrays, the kernel, the
        recurrent kernel and the bias. What it returns has `outputs`
        `[steps, batch, cells]`, the final `state`, and a function `gradient` of
        their gradients, which returns those of the arguments.
      cell: Of a built recurrent layer with a bias.
      inputs: `[steps, batch, features]`.
      state: Arrays `[batch, cells]`.

    Returns:
      The outputs `[steps, batch, cells]` and each array of the final state.
    """
    weights = [cell.kernel, cell.recurrent_kernel, cell.bias]
    if shapes_are_fixed() or keras.backend.backend() == "torch":
        # Traced for another runtime, which takes no gradient; in PyTorch
        # Keras's custom gradients are of one output alone.
        steps = make_steps(inputs, *state, *weights)
        return steps.outputs, *steps.state

    @ops.custom_gradient
    def run(*arguments):
        steps = make_steps(*arguments)

        def gradient(*upstream):
            # Keras passes those of the outputs as one tuple under JAX.
            return steps.gradient(
                *(upstream[0] if len(upstream) == 1 else upstream)
            )

        return (steps.outputs, *steps.state), gradient

    # Reshaped to turn variables into tensors, as custom gradients need.
    return run(inputs, *state, *(ops.reshape(w, w.shape) for w in weights))


def input_sums(inputs, kernel, bias):
    """Returns the inputs' part of the sums, `[steps, batch, columns]`."""
    steps, _, features = inputs.shape
    rows = ops.reshape(inputs, (-1, features))
    sums = ops.matmul(rows, kernel) + bias
    return ops.reshape(sums, (steps, -1, kernel.shape[1]))


def input_gradients(inputs, kernel, d_sums):
    """Returns the gradients of inputs, kernel and bias.

    `d_sums` are `[steps * batch, columns]`.
    """
    rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
    # As a product: a sum over rows takes several times longer.
    ones = ops.ones((1, ops.shape(rows)[0]), inputs.dtype)
    d_inputs = ops.matmul(d_sums, ops.transpose(kernel))
    return (
        ops.reshape(d_inputs, ops.shape(inputs)),
        ops.matmul(ops.transpose(rows), d_sums),
        ops.squeeze(ops.matmul(ones, d_sums), axis=0),
    )


def transpose_in_memory(matrix):
    """Transposes a matrix in memory.

    A plain transposition before a product becomes an attribute of the product
    in TensorFlow's graphs, which is slow where the other factor is small.
    """
    columns = matrix.shape[1]
    deep = ops.transpose(ops.reshape(matrix, (-1, columns, 1)), (1, 0, 2))
    return ops.reshape(deep, (columns, -1))


class SequenceEnds:
    """The places of the sequences' final states among all states.

    The steps run on beyond the sequences' ends. The final states are taken from
    where the sequences end, and their gradients are put there, so that no step
    chooses between an old and a new state.

    All states are `[(1 + steps) * batch, cells]`: the batch's first states,
    then those after each step.

    Args:
      is_real: Booleans `[steps, batch, 1]`, True for each sequence's first
        steps.
    """

    def __init__(self, is_real):
        self.steps = is_real.shape[0]
        self.batch = ops.shape(is_real)[1]
        lengths = ops.sum(ops.cast(is_real[:, :, 0], "int32"), axis=0)
        self.rows = lengths * self.batch + ops.arange(self.batch, dtype="int32")

    def take(self, states):
        """Returns the final ones of all states, `[batch, cells]`."""
        return ops.take(states, self.rows, axis=0)

    def put(self, gradient):
        """Returns a gradient of the final states as one of all states.

        It is zero but at the ends: that of the first states, `[batch, cells]`,
        and that of the states after each step, `[steps, batch, cells]`.
        """
        shape = ((1 + self.steps) * self.batch, gradient.shape[1])
        gradients = ops.scatter(self.rows[:, None], gradient, shape)
        return gradients[: self.batch], self.after_steps(gradients)

    def after_steps(self, states):
        """Returns the states after each step, `[steps, batch, cells]`."""
        shape = (self.steps, -1, states.shape[1])
        return ops.reshape(states[self.batch :], shape)

    def before_steps(self, states):
        """Returns the states before each step, `[steps * batch, cells]`."""
        return states[: self.steps * self.batch]

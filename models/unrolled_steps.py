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
        recurrent kernel and the bias. What it returns has `outputs`, a list of
        `[batch, cells]`, the final `state`, and a function `gradient` of their
        gradients, which returns those of the arguments.
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
        return ops.stack(steps.outputs), *steps.state

    @ops.custom_gradient
    def run(*arguments):
        steps = make_steps(*arguments)

        def gradient(*upstream):
            # Keras passes those of the outputs as one tuple under JAX.
            return steps.gradient(
                *(upstream[0] if len(upstream) == 1 else upstream)
            )

        return (ops.stack(steps.outputs), *steps.state), gradient

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

"""A short LSTM step by step, its matrix products gathered over the steps.

It computes the same as Keras's LSTM, faster for few steps on a CPU. The inputs
are multiplied by the kernel once, before the steps, and each weight's gradient
is one product after them; in a loop every step would read and write a matrix
of the weights' size. The backward steps multiply by a recurrent kernel that is
transposed once.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
from keras import ops

from distill.models.fixed_shapes import shapes_are_fixed

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
    cell = lstm.cell
    if shapes_are_fixed() or keras.backend.backend() == "torch":
        # Traced for another runtime, which takes no gradient; in PyTorch
        # Keras's custom gradients are of one output alone.
        steps = _Steps(
            inputs, cell.kernel, cell.recurrent_kernel, cell.bias, is_real
        )
        return ops.stack(steps.outputs), steps.h, steps.c
    # Reshaped to turn variables into tensors, as custom gradients need.
    weights = [
        ops.reshape(weight, weight.shape)
        for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
    ]

    @ops.custom_gradient
    def run(inputs, kernel, recurrent_kernel, bias):
        steps = _Steps(inputs, kernel, recurrent_kernel, bias, is_real)
        return (ops.stack(steps.outputs), steps.h, steps.c), steps.gradient

    return run(inputs, *weights)


class _Steps:
    """The forward steps, with all values that the backward steps need.

    Gates and states are float32, whatever the type of the products.
    """

    def __init__(self, inputs, kernel, recurrent_kernel, bias, is_real):
        self.inputs = inputs
        self.kernel = kernel
        self.recurrent_kernel = recurrent_kernel
        self.is_real = is_real
        self.num_steps, _, features = inputs.shape
        cells = recurrent_kernel.shape[0]
        rows = ops.reshape(inputs, (-1, features))
        sums = ops.reshape(
            ops.matmul(rows, kernel) + bias,
            (self.num_steps, -1, 4 * cells),
        )
        zeros = ops.zeros((ops.shape(inputs)[1], cells))
        h, c = ops.cast(zeros, inputs.dtype), zeros
        self.before, self.gates, self.outputs = [], [], []
        for step in range(self.num_steps):
            self.before.append((h, c))
            h, c = self._step(sums[step], h, c, is_real[step])
            self.outputs.append(h)
        self.h, self.c = h, ops.cast(c, inputs.dtype)

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

    def gradient(self, *upstream):
        """Returns the gradients of inputs, kernels and bias."""
        # Keras passes those of the outputs as one tuple under JAX.
        d_outputs, d_h, d_c = upstream[0] if len(upstream) == 1 else upstream
        dtype = self.inputs.dtype
        transposed = _transpose(self.recurrent_kernel)
        d_h, d_c = ops.cast(d_h, "float32"), ops.cast(d_c, "float32")
        d_sums = []
        for step in reversed(range(self.num_steps)):
            d_h += ops.cast(d_outputs[step], "float32")
            d_sum, d_kept, d_c = self._step_back(step, d_h, d_c)
            d_sum = ops.cast(d_sum, dtype)
            d_sums.append(d_sum)
            d_h = d_kept + ops.cast(ops.matmul(d_sum, transposed), "float32")
        d_sums = ops.concatenate(d_sums[::-1], axis=0)
        rows = ops.reshape(self.inputs, (-1, self.inputs.shape[-1]))
        states = ops.concatenate([h for h, _ in self.before], axis=0)
        # As a product: a sum over rows takes several times longer.
        d_bias = ops.matmul(ops.ones((1, ops.shape(rows)[0]), dtype), d_sums)
        d_inputs = ops.matmul(d_sums, ops.transpose(self.kernel))
        return (
            ops.reshape(d_inputs, ops.shape(self.inputs)),
            ops.matmul(ops.transpose(rows), d_sums),
            ops.matmul(ops.transpose(states), d_sums),
            ops.squeeze(d_bias, axis=0),
        )

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


def _transpose(matrix):
    """Transposes a matrix in memory.

    A plain transposition before a product becomes an attribute of the product
    in TensorFlow's graphs, which is slow where the other factor is small.
    """
    rows, columns = matrix.shape
    deep = ops.transpose(ops.reshape(matrix, (rows, columns, 1)), (1, 0, 2))
    return ops.reshape(deep, (columns, rows))

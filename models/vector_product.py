"""Products of one vector a video with a matrix, and a dense layer of them."""

import keras
from keras import ops

from distill.models.fixed_shapes import shapes_are_fixed
from distill.models.unrolled_steps import transpose_in_memory


def multiply_vectors(inputs, kernel):
    """Returns `inputs @ kernel`, with a quick gradient of the inputs.

    A batch has few vectors and the matrix may be large. On a CPU TensorFlow
    multiplies the outputs' gradient by the transposed matrix at a third of the
    speed of the matrix by the transposed gradient, which is the same.

    Args:
      inputs: `[batch, dim]` floats; with more axes the gradient is plain.
      kernel: `[dim, units]` weight.

    Returns:
      `[batch, units]` floats.
    """
    is_plain = keras.backend.backend() != "tensorflow" or shapes_are_fixed()
    if is_plain or len(inputs.shape) != 2:
        return ops.matmul(inputs, kernel)

    @ops.custom_gradient
    def multiply(inputs, kernel):
        def gradient(d_outputs):
            d_inputs = ops.matmul(kernel, transpose_in_memory(d_outputs))
            d_kernel = ops.matmul(ops.transpose(inputs), d_outputs)
            return ops.transpose(d_inputs), d_kernel

        return ops.matmul(inputs, kernel), gradient

    # Reshaped to turn the variable into a tensor, as custom gradients need.
    return multiply(inputs, ops.reshape(kernel, kernel.shape))


@keras.saving.register_keras_serializable("distill.models")
class VectorDense(keras.layers.Dense):
    """Keras's dense layer, which multiplies by `multiply_vectors`."""

    def call(self, inputs, training=None):
        """Returns the activated sums."""
        outputs = multiply_vectors(inputs, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

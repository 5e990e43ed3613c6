"""Batch statistics of real frames.

Ioffe and Szegedy, "Batch normalization", ICML 2015.
"""

from keras import ops

_SMALLEST_COUNT = 1e-7


def frame_moments(inputs, mask, axes):
    """Returns mean and variance of the real frames of a batch.

    They are those of Keras's batch norm, whose sums with a mask pass over the
    inputs a dozen times, three times in one thread under TensorFlow. Products
    with the mask give the same sums, in an order of their own.

    Args:
      inputs: float32 `[..., dim]`; finite in the padding too.
      mask: Booleans `[...]`, False for padding; None for no padding.
      axes: All axes but the last.

    Returns:
      Two `[dim]` tensors; zeros where all is padding.
    """
    if mask is None:
        return ops.moments(inputs, axes=axes)
    rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
    weights = ops.cast(ops.reshape(mask, (1, -1)), inputs.dtype)
    weights = weights / (ops.sum(weights) + _SMALLEST_COUNT)
    mean = ops.matmul(weights, rows)
    # The variance is least at the mean: its derivative by that is zero.
    squares = ops.square(rows - ops.stop_gradient(mean))
    variance = ops.matmul(weights, squares)
    return ops.squeeze(mean, axis=0), ops.squeeze(variance, axis=0)

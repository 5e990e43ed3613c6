"""Multiply-accumulates of a graph of TensorFlow."""

import math
from typing import Any

# Operations of which each output is a sum over the kernel's other axes.
_KERNELS = {"Conv2D", "DepthwiseConv2dNative", "MatMul"}
# They multiply matrices too, or call graphs in which something may.
_UNKNOWN = (
    *("BatchMatMul", "Einsum", "Conv", "PartitionedCall", "StatefulPart"),
    *("While", "StatelessWhile", "If", "StatelessIf", "XlaCall", "Case"),
)


def graph_macs(graph: Any, batch_size: int) -> int | None:
    """Returns the MACs of an image, of convolutions and matrix products.

    As of the models, products by single numbers, such as those of batch norms,
    do not count.

    Args:
      graph: A `tf.Graph` that reads batches of one size.
      batch_size: That size.

    Returns:
      The number; None if the graph has operations or shapes that do not tell.
    """
    total = 0
    for operation in graph.get_operations():
        if operation.type in _KERNELS:
            count = _count(operation)
            if count is None:
                return None
            total += count
        elif operation.type.startswith(_UNKNOWN):
            return None
    return total // batch_size


def _count(operation: Any) -> int | None:
    kernel, output = operation.inputs[1].shape, operation.outputs[0].shape
    if not (kernel.is_fully_defined() and output.is_fully_defined()):
        return None
    if operation.type == "MatMul":
        rows = kernel[1 if operation.get_attr("transpose_b") else 0]
        return math.prod(output) * rows
    if operation.get_attr("data_format") != b"NHWC":
        return None
    # A depthwise kernel is [height, width, channels, multiplier].
    inputs = 1 if operation.type.startswith("Depth") else kernel[2]
    return math.prod(output) * kernel[0] * kernel[1] * inputs

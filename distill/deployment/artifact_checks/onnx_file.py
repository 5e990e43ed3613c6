"""An ONNX file: one graph without control flow, whole in its file."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.deployment.artifact_checks.onnx_messages import model_message
from distill.deployment.artifact_checks.refusal import (
    RefusedError,
    refuse_operations,
)

# Of all models, selections of frames and precisions, and their like. None has
# a graph within; none is of another domain than ONNX's own.
_NAMES = """
Abs Add And ArgMax Cast Clip Concat Constant ConstantOfShape CumSum
DequantizeLinear Div DynamicQuantizeLinear Elu Equal Erf Exp Expand Flatten
Floor Gather GatherElements GatherND Gemm Greater GreaterOrEqual
HardSigmoid Identity LeakyRelu Less LessOrEqual Log LogSoftmax MatMul
MatMulInteger Max Mean Min Mod Mul Neg Not OneHot Or Pad Pow
QuantizeLinear Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin
ReduceProd ReduceSum ReduceSumSquare Relu Reshape ScatterND Shape Sigmoid
Sign Size Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh Tile TopK
Transpose Unsqueeze Where Xor
"""
OPERATIONS = frozenset(_NAMES.split())
_DOMAINS = ("", "ai.onnx")
# Protocol buffers hold no more.
_MOST_BYTES = 2**31


def check_onnx(path: Path) -> None:
    """Checks an ONNX file.

    Raises:
      RefusedError: It is damaged, or holds what exports do not.
    """
    from google.protobuf.message import DecodeError

    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise RefusedError(f"it has more than {_MOST_BYTES:,} bytes")
    try:
        model = model_message().FromString(path.read_bytes())
    except DecodeError as error:
        raise RefusedError(f"it is no ONNX file, or damaged ({error})") from (
            error
        )
    if not any(graph.node for graph in model.graph):
        raise RefusedError("it is no ONNX file, or damaged: it has no graph")
    if model.functions or model.training_info:
        raise RefusedError("it holds functions or training")
    for graph in model.graph:
        _check_graph(graph, size)


def _check_graph(graph: Any, size: int) -> None:
    refuse_operations(map(_operation, graph.node), OPERATIONS)
    if graph.sparse_initializer:
        raise RefusedError("it holds sparse tensors")
    for tensor in _tensors(graph):
        # 1: outside of the file.
        if tensor.external_data or any(tensor.data_location):
            raise RefusedError("the values of a tensor lie in another file")
        if math.prod(max(length, 0) for length in tensor.dims) > size:
            raise RefusedError(
                f"a tensor has the shape {list(tensor.dims)[:8]}, but its "
                "values are not in the file"
            )


def _operation(node: Any) -> str:
    """Returns a node's operation, named with a domain that is not ONNX's."""
    domain, name = "".join(node.domain[-1:]), "".join(node.op_type[-1:])
    return name if domain in _DOMAINS else f"{domain}.{name}"


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.g or attribute.graphs:
                raise RefusedError("an operation of it holds a graph")
            if attribute.sparse_tensor or attribute.sparse_tensors:
                raise RefusedError("it holds sparse tensors")
            yield from attribute.t
            yield from attribute.tensors

"""A SavedModel is a program: only operations of our own exports may run.

TensorFlow runs what the graph says, from the moment it is loaded
(initializers) on. Among its operations some write, move and remove files or
call Python. What can run is what the object graph's functions reach; only the
functions that TensorFlow saves and restores variables by, which nothing else
calls, hold operations on files.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from distill.deployment.artifact_checks.refusal import (
    RefusedError,
    refuse_operations,
)

GRAPH = "saved_model.pb"
# Of all models, selections of frames and precisions, on CPU and GPU: numbers
# and texts in, numbers and texts out.
_NAMES = """
Abs AddN AddV2 All Any ArgMax Assert AssignVariableOp BatchMatMulV2
BatchMatMulV3 BiasAdd BroadcastTo Cast ClipByValue ConcatV2 Const CudnnRNNV3
Cumsum DecodePaddedRaw DisableCopyOnRead Einsum Elu EnsureShape Equal Erf
Exp ExpandDims Fill Floor FloorDiv FloorMod GatherNd GatherV2 Greater
GreaterEqual Identity IdentityN IsFinite LeakyRelu Less LessEqual Log Log1p
LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean Min
Minimum Mul Neg NoOp NotEqual OneHot OnesLike Pack Pad PadV2
ParseExampleV2 ParseSequenceExampleV2 PartitionedCall Placeholder Pow Prod
RaggedTensorToTensor Range ReadVariableOp RealDiv Relu Relu6 Reshape
ReverseSequence ReverseV2 Round Rsqrt ScatterNd Select SelectV2 Shape
Sigmoid Size Slice Softmax Softplus Split SplitV Sqrt Square
SquaredDifference Squeeze StatefulPartitionedCall StatelessIf
StatelessWhile StaticRegexFullMatch StopGradient StridedSlice StringJoin
StringLength Sub Sum Tanh TensorListFromTensor TensorListGetItem
TensorListReserve TensorListSetItem TensorListStack Tile TopKV2 Transpose
Unpack UnsortedSegmentSum VarHandleOp VarIsInitializedOp Where While
ZerosLike
"""
OPERATIONS = frozenset(_NAMES.split())
_SAVING = frozenset({"MergeV2Checkpoints", "RestoreV2", "SaveV2"})
_SAVING_TOO = _SAVING | {"ShardedFilename"}
_KINDS = {
    "user_object",
    "variable",
    "bare_concrete_function",
    "function",
    "constant",
    "captured_tensor",
}
_MOST_GRAPH_BYTES = 2**28
_MOST_CONSTANT_VALUES = 2**26


def check_saved_model(folder: Path) -> None:
    """Checks a SavedModel; runs nothing and reads no variable.

    Raises:
      RefusedError: It holds what exports do not.
      Exception: One of TensorFlow's own: it is damaged.
    """
    others = [p.name for p in folder.glob("saved_model.*") if p.name != GRAPH]
    if others:
        raise RefusedError(f"it holds {others[0]!a:.60} beside {GRAPH}")
    meta = _read_graph(folder / GRAPH)
    _check_objects(meta.object_graph_def, folder / "variables")
    _check_functions(meta)


def _read_graph(path: Path) -> Any:
    """Returns the one MetaGraphDef of a SavedModel's file."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    if path.stat().st_size > _MOST_GRAPH_BYTES:
        raise RefusedError(
            f"its {GRAPH} has more than {_MOST_GRAPH_BYTES:,} bytes"
        )
    try:
        held = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except DecodeError as error:
        raise RefusedError(f"its {GRAPH} is damaged ({error})") from error
    if len(held.meta_graphs) != 1:
        raise RefusedError(
            f"its {GRAPH} holds {len(held.meta_graphs)} graphs, not 1"
        )
    meta = held.meta_graphs[0]
    if not meta.object_graph_def.nodes:
        raise RefusedError(f"its {GRAPH} is of TensorFlow 1: it has no objects")
    if meta.asset_file_def:
        raise RefusedError("it holds assets: files that a graph can read")
    return meta


def _check_objects(objects: Any, variables: Path) -> None:
    """Checks what the loader makes before it restores the variables."""
    num_bytes = 0
    for node in objects.nodes:
        kind = node.WhichOneof("kind")
        if kind not in _KINDS:
            raise RefusedError(f"it holds an object of the kind {kind!a}")
        if node.registered_saver or node.saveable_objects:
            raise RefusedError("an object of it is restored by a function")
        if kind == "variable":
            num_bytes += _num_bytes(node.variable.shape, node.variable.dtype)
    files = sum(f.stat().st_size for f in variables.glob("variables.*"))
    if num_bytes > files:
        raise RefusedError(
            f"its variables need {num_bytes:,} bytes, and its files of "
            f"variables hold {files:,}"
        )


def _check_functions(meta: Any) -> None:
    library = meta.graph_def.library
    bodies = {f.signature.name: f.node_def for f in library.function}
    called = {
        name: {each for node in body for each in _functions_of(node)}
        for name, body in bodies.items()
    }
    reached = set(meta.object_graph_def.concrete_functions)
    gradients = [*library.gradient, *library.registered_gradients]
    reached |= {gradient.gradient_func for gradient in gradients}
    waiting = list(reached)
    while waiting:
        new = called.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    for name, body in bodies.items():
        saves = name not in reached and any(n.op in _SAVING for n in body)
        allowed = OPERATIONS | _SAVING_TOO if saves else OPERATIONS
        _check_nodes(body, allowed)
    _check_nodes(meta.graph_def.node, OPERATIONS)


def _check_nodes(nodes: Iterable[Any], allowed: frozenset[str]) -> None:
    refuse_operations((node.op for node in nodes), allowed)
    for node in nodes:
        for value in node.attr.values():
            for tensor in [value.tensor, *value.list.tensor]:
                count = _num_values(tensor.tensor_shape)
                if count > _MOST_CONSTANT_VALUES:
                    raise RefusedError(
                        f"a constant of it has {count:,} values, more than "
                        f"{_MOST_CONSTANT_VALUES:,}"
                    )


def _functions_of(node: Any) -> Iterator[str]:
    """Yields the names of the functions that a node calls."""
    for value in node.attr.values():
        for function in [value.func, *value.list.func]:
            if function.name:
                yield function.name


def _num_values(shape: Any) -> int:
    return math.prod(max(dimension.size, 0) for dimension in shape.dim)


def _num_bytes(shape: Any, dtype: int) -> int:
    from tensorflow import dtypes

    return _num_values(shape) * dtypes.as_dtype(dtype).size

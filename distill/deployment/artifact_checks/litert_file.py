"""A LiteRT file: one graph of built-in operations without control flow.

LiteRT itself verifies every offset of the file when it opens it.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distill.deployment.artifact_checks.refusal import (
    RefusedError,
    refuse_operations,
)
from distill.system.extras import import_extra

# Of all models, selections of frames and precisions, and their like. None
# runs another graph; none is custom.
_NAMES = """
ABS ADD ADD_N ARG_MAX BATCH_MATMUL BROADCAST_TO CAST CONCATENATION CUMSUM
DEQUANTIZE DIV ELU EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD
FULLY_CONNECTED GATHER GATHER_ND GELU GREATER GREATER_EQUAL
L2_NORMALIZATION LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT
LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MEAN MINIMUM MUL NEG NOT_EQUAL
ONE_HOT PACK PAD PADV2 POW QUANTIZE RANGE REDUCE_ALL REDUCE_ANY REDUCE_MAX
REDUCE_MIN REDUCE_PROD RELU RELU6 RESHAPE RSQRT SELECT SELECT_V2 SHAPE
SLICE SOFTMAX SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE
STRIDED_SLICE SUB SUM TANH TILE TOPK_V2 TRANSPOSE UNPACK WHERE ZEROS_LIKE
"""
OPERATIONS = frozenset(_NAMES.split())
_MOST_BYTES = 2**31
# Weights of int8 may become floats; the rest is for the values between.
_MOST_GROWTH, _MOST_BETWEEN = 8, 2**30
_VALUE_BYTES = 4


def check_litert(path: Path) -> None:
    """Checks a LiteRT file.

    Raises:
      RefusedError: It holds what exports do not.
      Exception: It is damaged, so that an offset leads out of it.
    """
    schema = import_extra("ai_edge_litert.schema_py_generated", "litert")
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise RefusedError(f"it has more than {_MOST_BYTES:,} bytes")
    contents = path.read_bytes()
    if not schema.Model.ModelBufferHasIdentifier(contents, 0):
        raise RefusedError("it is no LiteRT file")
    model = schema.Model.GetRootAs(contents, 0)
    refuse_operations(_operations(schema, model, size), OPERATIONS)
    if model.SubgraphsLength() != 1:
        raise RefusedError(f"it holds {model.SubgraphsLength()} graphs, not 1")
    num_bytes = _VALUE_BYTES * sum(
        math.prod(max(tensor.Shape(i), 0) for i in range(tensor.ShapeLength()))
        for graph in _each(model.SubgraphsLength, model.Subgraphs, size)
        for tensor in _each(graph.TensorsLength, graph.Tensors, size)
    )
    if num_bytes > _MOST_GROWTH * size + _MOST_BETWEEN:
        raise RefusedError(
            f"its tensors need {num_bytes:,} bytes, too many for a file of "
            f"{size:,}"
        )


def _operations(schema: Any, model: Any, size: int) -> Iterator[str]:
    """Yields the names of the operations, custom ones with their own."""
    names = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    for code in _each(model.OperatorCodesLength, model.OperatorCodes, size):
        # Old files hold the number, below 127, in the deprecated field.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = names.get(number, str(number))
        if code.CustomCode() is not None:
            name += f" {code.CustomCode().decode(errors='replace')}"
        yield name


def _each(
    length: Callable[[], int], item: Callable[[int], Any], size: int
) -> Iterator[Any]:
    """Yields the items of a vector, which is not longer than its file."""
    if length() > size:
        raise RefusedError("it is damaged: a list is longer than the file")
    for index in range(length()):
        yield item(index)

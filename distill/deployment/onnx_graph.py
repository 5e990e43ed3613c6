"""A network as an ONNX graph, into which its weights are put at the end.

While TensorFlow's graph is converted its weights are inputs, because the
converter copies constants many times. Then they enter the file, as float32 or
as int8 with one scale per column.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from distill.deployment.converted_formats import (
    quantise_columns,
    with_weights_as_inputs,
)
from distill.deployment.interface import VideoInterface
from distill.system.extras import import_extra

_OPSET = 18
_MOST_UINT8 = 255
# Least and greatest value that an activation takes.
Ranges = Mapping[str, tuple[float, float]]


class OnnxGraph:
    """A converted network.

    Args:
      model: From a batch of videos as stored to `[batch, classes]`.
      interface: Inputs and outputs of the model.

    Raises:
      ValueError: The converter's extra is not installed.
    """

    def __init__(self, model: keras.Model, interface: VideoInterface):
        self._onnx = import_extra("onnx", "onnx")
        self._weights = {
            f"weight_{i}": variable
            for i, variable in enumerate(model.variables)
        }
        self._model = _convert(model, interface, self._weights)
        inputs = self._model.graph.input
        for held in [each for each in inputs if each.name in self._weights]:
            inputs.remove(held)

    def write(self, path: Path) -> None:
        """Writes a float32 file."""
        self._onnx.save(self._in_float32(), path)

    def write_int8(self, path: Path, ranges: Ranges | None = None) -> None:
        """Writes a file whose matrices are int8, one scale per column.

        Args:
          path: The file.
          ranges: Of the matrices' inputs, from `measure_ranges`, which fix
            their scales. None: each batch has its own, so that the result of a
            video depends slightly on the other videos of its batch.
        """
        self._onnx.save(self._in_int8(ranges), path)

    def measure_ranges(self, batches: Iterable[dict[str, Any]]) -> Ranges:
        """Returns the ranges of the matrices' inputs on some videos.

        Args:
          batches: As `VideoInterface.to_batch` makes them.
        """
        runtime = import_extra("onnxruntime", "onnx")
        measured = self._in_float32()
        names = sorted({node.input[0] for node in self._products()})
        for name in names:
            measured.graph.output.add(name=name)
        session = runtime.InferenceSession(
            measured.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        del measured
        least = dict.fromkeys(names, 0.0)
        greatest = dict.fromkeys(names, 0.0)
        for inputs in batches:
            for name, values in zip(
                names, session.run(names, inputs), strict=True
            ):
                least[name] = min(least[name], float(values.min()))
                greatest[name] = max(greatest[name], float(values.max()))
        return {name: (least[name], greatest[name]) for name in names}

    def _products(self) -> list[Any]:
        """Returns the products of rows by a matrix of weights."""
        return [
            node
            for node in self._model.graph.node
            if node.op_type == "MatMul"
            and node.input[1] in self._weights
            and len(self._weights[node.input[1]].shape) == 2
        ]

    def _in_float32(self) -> Any:
        return self._with_weights(self._model.graph.node, {})

    def _in_int8(self, ranges: Ranges | None) -> Any:
        products = {node.output[0] for node in self._products()}
        nodes: list[Any] = []
        tensors: dict[str, np.ndarray] = {}
        as_bytes = set()
        for node in self._model.graph.node:
            if node.output[0] in products:
                rows, matrix = node.input
                if rows not in as_bytes:
                    as_bytes.add(rows)
                    nodes.append(self._to_bytes(rows, ranges, tensors))
                if f"{matrix}/int8" not in tensors:
                    integers, scales = quantise_columns(self._weights[matrix])
                    tensors[f"{matrix}/int8"] = integers
                    tensors[f"{matrix}/scales"] = scales
                nodes += self._int8_product(rows, matrix, node.output[0])
            else:
                nodes.append(node)
        return self._with_weights(nodes, tensors)

    def _to_bytes(
        self,
        rows: str,
        ranges: Ranges | None,
        tensors: dict[str, np.ndarray],
    ) -> Any:
        """Returns the node that turns rows into bytes.

        Its scale and zero point are outputs, or enter `tensors`.
        """
        names = [f"{rows}/bytes", f"{rows}/scale", f"{rows}/zero"]
        if ranges is None:
            return self._node("DynamicQuantizeLinear", [rows], names)
        least, greatest = ranges[rows]
        # All zeros, as a first state is, have any scale.
        scale = np.float32((greatest - least) / _MOST_UINT8 or 1)
        tensors[names[1]] = np.array(scale, np.float32)
        tensors[names[2]] = np.array(np.rint(-least / scale), np.uint8)
        return self._node("QuantizeLinear", [rows, *names[1:]], names[:1])

    def _int8_product(self, rows: str, matrix: str, output: str) -> list[Any]:
        """Returns the nodes of a product of bytes by an int8 matrix."""
        inputs = [f"{rows}/bytes", f"{matrix}/int8", f"{rows}/zero"]
        sums, floats = f"{output}/int32", f"{output}/unscaled"
        scales = f"{output}/scales"
        float32 = self._onnx.TensorProto.FLOAT
        return [
            self._node("MatMulInteger", inputs, [sums]),
            self._node("Cast", [sums], [floats], to=float32),
            self._node("Mul", [f"{rows}/scale", f"{matrix}/scales"], [scales]),
            self._node("Mul", [floats, scales], [output]),
        ]

    def _node(
        self,
        operation: str,
        inputs: list[str],
        outputs: list[str],
        **attributes: Any,
    ) -> Any:
        return self._onnx.helper.make_node(
            operation, inputs, outputs, name=f"{outputs[0]}_node", **attributes
        )

    def _with_weights(
        self, nodes: Iterable[Any], others: Mapping[str, np.ndarray]
    ) -> Any:
        """Returns the model of some nodes, with the weights that they read."""
        result = type(self._model)()
        result.CopyFrom(self._model)
        graph = result.graph
        del graph.node[:]
        graph.node.extend(nodes)
        read = {name for node in graph.node for name in node.input}
        for name, values in {**self._weights, **others}.items():
            if name in read:
                tensor = self._onnx.numpy_helper.from_array(
                    np.asarray(values), name
                )
                graph.initializer.append(tensor)
        return result


def _convert(
    model: keras.Model, interface: VideoInterface, weights: Mapping[str, Any]
) -> Any:
    """Returns the ONNX model of a network, whose weights are inputs."""
    tf2onnx = import_extra("tf2onnx", "onnx")
    function = with_weights_as_inputs(model, interface, weights)
    converted, _ = tf2onnx.convert.from_function(
        function,
        input_signature=function.input_signature,
        opset=_OPSET,
    )
    return converted

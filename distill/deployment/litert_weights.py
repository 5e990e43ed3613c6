"""Matrices of weights, put into a LiteRT file in place of its inputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.deployment.converted_formats import quantise_columns

_IDENTIFIER = b"TFL3"
# Of the operations as they are used here, in the schema's table of versions.
_FLOAT_PRODUCT, _INT8_PRODUCT, _HALF_DEQUANTIZE = 1, 12, 3
_ROOM = 2**20


class MisplacedError(Exception):
    """A weight is not the matrix of products alone."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


def put_in_weights(
    content: bytes, weights: Mapping[str, Any], precision: str
) -> bytes:
    """Returns a LiteRT file that holds weights which were its inputs.

    Args:
      content: The file.
      weights: Matrices `[inputs, outputs]` by the names of the file's inputs.
      precision: `float32`, `float16`, or `int8` with a scale for each output.

    Raises:
      MisplacedError: A weight is used otherwise than as `rows @ weight`.
    """
    if not weights:
        return content
    from ai_edge_litert import schema_py_generated as schema

    graph = _Graph(schema, content, precision)
    for name in weights:
        graph.use_as_matrix(name)
    for name, weight in weights.items():
        graph.put_in(name, np.asarray(weight))
    return graph.to_bytes()


class _Graph:
    """A LiteRT file in parts; it has one graph and one signature."""

    def __init__(self, schema: Any, content: bytes, precision: str):
        self._schema = schema
        self._precision = precision
        self._model = schema.ModelT.InitFromPackedBuf(content, 0)
        (self._graph,) = self._model.subgraphs
        (signature,) = self._model.signatureDefs
        self._signature = signature
        self._tensors = {
            each.name.decode(): each.tensorIndex for each in signature.inputs
        }
        operators = schema.BuiltinOperator
        is_int8 = precision == "int8"
        self._product = self._add_code(
            operators.FULLY_CONNECTED,
            _INT8_PRODUCT if is_int8 else _FLOAT_PRODUCT,
        )
        self._num_bytes = len(content)

    def use_as_matrix(self, name: str) -> None:
        """Makes the products by a weight those by a transposed constant.

        Raises:
          MisplacedError: There is another use of the weight.
        """
        operators = self._schema.BuiltinOperator
        index = self._tensors[name]
        for operator in self._readers(index):
            kind = self._kind(operator)
            if kind == operators.TRANSPOSE:
                (output,) = operator.outputs
                for reader in self._readers(output):
                    is_product = self._kind(reader) == operators.FULLY_CONNECTED
                    if not is_product or reader.inputs[1] != output:
                        raise MisplacedError(name)
                    self._make_product(reader, index)
                self._graph.operators.remove(operator)
                # It stays in the list of tensors, unused.
                self._graph.tensors[output].shape = np.zeros(0, np.int32)
            elif kind == operators.BATCH_MATMUL and operator.inputs[1] == index:
                options = operator.builtinOptions
                if options.adjX or options.adjY or self._rank(operator) != 2:
                    raise MisplacedError(name)
                self._make_product(operator, index)
            else:
                raise MisplacedError(name)

    def _make_product(self, operator: Any, matrix: int) -> None:
        if self._kind(operator) == self._schema.BuiltinOperator.BATCH_MATMUL:
            operator.builtinOptions = self._schema.FullyConnectedOptionsT()
            operator.builtinOptionsType = (
                self._schema.BuiltinOptions.FullyConnectedOptions
            )
            operator.inputs = [operator.inputs[0], matrix, -1]
        inputs = list(operator.inputs)
        inputs[1] = matrix
        operator.inputs = np.array(inputs, np.int32)
        operator.opcodeIndex = self._product
        if self._precision == "int8":
            operator.builtinOptions.asymmetricQuantizeInputs = True

    def put_in(self, name: str, weight: np.ndarray) -> None:
        """Makes an input a constant, transposed, in the file's precision."""
        index = self._tensors[name]
        tensor = self._graph.tensors[index]
        tensor.shape = np.array(weight.shape[::-1], np.int32)
        tensor.shapeSignature = None
        if self._precision == "int8":
            integers, scales = quantise_columns(weight)
            tensor.type = self._schema.TensorType.INT8
            tensor.buffer = self._add_buffer(integers.T)
            tensor.quantization = self._schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
            tensor.quantization.quantizedDimension = 0
        elif self._precision == "float16":
            self._put_in_halves(index, tensor, weight.T.astype(np.float16))
        else:
            tensor.buffer = self._add_buffer(weight.T)
        self._graph.inputs = np.array(
            [each for each in self._graph.inputs if each != index], np.int32
        )
        self._signature.inputs = [
            each for each in self._signature.inputs if each.tensorIndex != index
        ]

    def _put_in_halves(
        self, index: int, tensor: Any, values: np.ndarray
    ) -> None:
        """Makes a tensor the float32 form of float16 values."""
        halves = self._schema.TensorT()
        halves.name = tensor.name + b"/float16"
        halves.shape = tensor.shape
        halves.type = self._schema.TensorType.FLOAT16
        halves.buffer = self._add_buffer(values)
        self._graph.tensors.append(halves)
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._add_code(
            self._schema.BuiltinOperator.DEQUANTIZE, _HALF_DEQUANTIZE
        )
        operator.inputs = np.array([len(self._graph.tensors) - 1], np.int32)
        operator.outputs = np.array([index], np.int32)
        self._graph.operators.insert(0, operator)

    def to_bytes(self) -> bytes:
        """Returns the file."""
        import flatbuffers

        # Room for all, which else is made by copying.
        builder = flatbuffers.Builder(self._num_bytes + _ROOM)
        builder.Finish(self._model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def _readers(self, index: int) -> list[Any]:
        return [o for o in self._graph.operators if index in list(o.inputs)]

    def _kind(self, operator: Any) -> int:
        return self._model.operatorCodes[operator.opcodeIndex].builtinCode

    def _rank(self, operator: Any) -> int:
        return len(self._graph.tensors[operator.inputs[0]].shape)

    def _add_buffer(self, values: np.ndarray) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
        self._num_bytes += buffer.data.size
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _add_code(self, operation: int, version: int) -> int:
        """Returns the number of an operation in the file's own list."""
        codes = self._model.operatorCodes
        for number, code in enumerate(codes):
            if (code.builtinCode, code.version) == (operation, version):
                return number
        code = self._schema.OperatorCodeT()
        code.builtinCode = operation
        # Numbers below 127 stand in the field of old files too.
        code.deprecatedBuiltinCode = operation
        code.version = version
        codes.append(code)
        return len(codes) - 1

"""The parts of ONNX's messages that its check reads.

The field numbers are those of `onnx.proto`. ONNX Runtime brings protocol
buffers with it, but not the package `onnx`. Fields that are not listed are
kept unread.
"""

import functools
from typing import Any

_PACKAGE = "distill.onnx"
_SCALARS = {"int64": 3, "string": 9}  # FieldDescriptorProto.Type
_REPEATED, _MESSAGE = 3, 11
# By message: name, number and type of a field; lower-case types are scalars.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Model": (
        ("graph", 7, "Graph"),
        ("training_info", 20, "Other"),
        ("functions", 25, "Other"),
    ),
    "Graph": (
        ("node", 1, "Node"),
        ("initializer", 5, "Tensor"),
        ("sparse_initializer", 15, "Other"),
    ),
    "Node": (
        ("op_type", 4, "string"),
        ("attribute", 5, "Attribute"),
        ("domain", 7, "string"),
    ),
    "Attribute": (
        ("t", 5, "Tensor"),
        ("g", 6, "Other"),
        ("tensors", 10, "Tensor"),
        ("graphs", 11, "Other"),
        ("sparse_tensor", 22, "Other"),
        ("sparse_tensors", 23, "Other"),
    ),
    "Tensor": (
        ("dims", 1, "int64"),
        ("external_data", 13, "Other"),
        ("data_location", 14, "int64"),
    ),
    "Other": (),
}


@functools.cache
def model_message() -> Any:
    """Returns the class of a model; every field is a list of values."""
    from google.protobuf import (
        descriptor_pb2,
        descriptor_pool,
        message_factory,
    )

    file = descriptor_pb2.FileDescriptorProto(
        name="distill/onnx.proto", package=_PACKAGE
    )
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, kind in fields:
            field = made.field.add(name=name, number=number, label=_REPEATED)
            field.type = _SCALARS.get(kind, _MESSAGE)
            if kind not in _SCALARS:
                field.type_name = f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.Model")
    return message_factory.GetMessageClass(found)

"""ONNX and LiteRT files, converted from a TensorFlow graph.

Every writer takes the file's path, a model from a batch of videos as stored to
`[batch, classes]`, and the interface: the model's inputs and outputs. It raises
a ValueError if the converter's extra is not installed.
"""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from distill.deployment.interface import VideoInterface
from distill.models.fixed_shapes import fixed_shapes
from distill.system.extras import import_extra

_OPSET = 18


@contextlib.contextmanager
def quiet_converters() -> Iterator[None]:
    """Shows only errors while TensorFlow and the converters run."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _input_specs(interface: VideoInterface) -> dict[str, tf.TensorSpec]:
    schema = interface.schema
    if not schema.frame_features:
        shape = [None, schema.num_features]
        return {"features": tf.TensorSpec(shape, tf.float32, name="features")}
    shape = [None, schema.max_frames, schema.num_features]
    return {
        "frames": tf.TensorSpec(shape, schema.frame_type, name="frames"),
        "num_frames": tf.TensorSpec([None], tf.int32, name="num_frames"),
    }


def write_onnx(
    path: Path, model: keras.Model, interface: VideoInterface
) -> None:
    """Writes a float32 ONNX file.

    The weights are inputs of the converted graph and enter the file
    afterwards, because the converter copies constants many times.
    """
    onnx = import_extra("onnx", "onnx")
    tf2onnx = import_extra("tf2onnx", "onnx")
    specs = _input_specs(interface)
    weights = {f"weight_{i}": v for i, v in enumerate(model.variables)}
    signature = [*specs.values()] + [
        tf.TensorSpec(variable.shape, variable.dtype, name=name)
        for name, variable in weights.items()
    ]

    def predict(*tensors):
        inputs = dict(zip(specs, tensors, strict=False))
        values = dict(
            zip(map(id, weights.values()), tensors[len(specs) :], strict=True)
        )
        with fixed_shapes():
            predictions, _ = model.stateless_call(
                [values[id(v)] for v in model.trainable_variables],
                [values[id(v)] for v in model.non_trainable_variables],
                inputs,
                training=False,
            )
        return {"predictions": predictions}

    converted, _ = tf2onnx.convert.from_function(
        tf.function(predict, input_signature=signature),
        input_signature=signature,
        opset=_OPSET,
    )
    inputs = converted.graph.input
    read = {name for node in converted.graph.node for name in node.input}
    for held in [value for value in inputs if value.name in weights]:
        inputs.remove(held)
        if held.name in read:
            array = np.asarray(weights[held.name])
            tensor = onnx.numpy_helper.from_array(array, held.name)
            converted.graph.initializer.append(tensor)
    onnx.save(converted, path)


def write_int8_onnx(
    path: Path, model: keras.Model, interface: VideoInterface
) -> None:
    """Writes an ONNX file with int8 weights, one scale per column.

    Activations are quantised at run time with one scale per batch, so a
    video's result depends slightly on the other videos of its batch.
    """
    quantization = import_extra("onnxruntime.quantization", "onnx")
    source = path.with_name("." + path.name)
    try:
        write_onnx(source, model, interface)
        quantization.quantize_dynamic(
            source,
            path,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        )
    finally:
        source.unlink(missing_ok=True)


def write_litert(
    path: Path,
    model: keras.Model,
    interface: VideoInterface,
    precision: str,
) -> None:
    """Writes a LiteRT file.

    The precision is the type of the stored weights: `float32`, `float16` or
    `int8`, whose activations are quantised at run time.

    Raises:
      ValueError: LiteRT's own operations cannot compute the model.
    """
    specs = _input_specs(interface)

    def predict(*tensors):
        inputs = dict(zip(specs, tensors, strict=True))
        with fixed_shapes():
            return {"predictions": model(inputs)}

    function = tf.function(predict, input_signature=list(specs.values()))
    with tempfile.TemporaryDirectory() as folder:
        module = tf.Module()
        # TensorFlow's variables: the converter would take Keras's for state
        # of the graph.
        module.weights = [variable.value for variable in model.variables]
        tf.saved_model.save(
            module,
            folder,
            signatures={"serving_default": function.get_concrete_function()},
            options=tf.saved_model.SaveOptions(
                experimental_custom_gradients=False
            ),
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serving_default"]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            content = converter.convert()
        except Exception as error:
            raise ValueError(
                f"LiteRT cannot run this network: {_reason(error)}"
            ) from error
    path.write_bytes(content)


def _reason(error: Exception) -> str:
    """Returns the line of a converter's error that names missing operations."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if " ops: " in line]
    return (named or lines or [repr(error)])[0]

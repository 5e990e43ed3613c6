"""A network as a LiteRT file, whose large matrices are put in at the end.

The converter takes minutes and several copies of large constants. So large
matrices are inputs while TensorFlow's graph is converted, and constants of the
converted graph.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from distill.deployment.converted_formats import with_weights_as_inputs
from distill.deployment.interface import VideoInterface
from distill.deployment.litert_weights import MisplacedError, put_in_weights
from distill.system.extras import import_extra

_SIGNATURE = "serving_default"
# The converter takes no notable time for smaller ones.
_LARGE = 2**18


def write_litert(
    path: Path,
    model: keras.Model,
    interface: VideoInterface,
    precision: str,
) -> None:
    """Writes a LiteRT file.

    Args:
      path: The file.
      model: From a batch of videos as stored to `[batch, classes]`.
      interface: Inputs and outputs of the model.
      precision: The type of the stored weights: `float32`, `float16` or
        `int8`, whose activations are quantised at run time.

    Raises:
      ValueError: LiteRT's own operations cannot compute the model, or its
        extra is not installed.
    """
    large = {
        f"weight_{i}": variable
        for i, variable in enumerate(model.variables)
        if len(variable.shape) == 2
        and variable.dtype == "float32"
        and np.prod(variable.shape) >= _LARGE
    }
    if large:
        import_extra("ai_edge_litert.schema_py_generated", "litert")
    while True:
        content = _convert(model, interface, precision, large)
        try:
            content = put_in_weights(content, large, precision)
        except MisplacedError as error:
            # No product by this weight: the converter knows what to do.
            del large[error.name]
        else:
            break
    path.write_bytes(content)


def _convert(
    model: keras.Model,
    interface: VideoInterface,
    precision: str,
    large: Mapping[str, Any],
) -> bytes:
    """Returns a LiteRT file, of which some weights are inputs."""
    function = with_weights_as_inputs(model, interface, large)
    module = tf.Module()
    # TensorFlow's variables: the converter would take Keras's for state of
    # the graph.
    given = set(map(id, large.values()))
    module.weights = [v.value for v in model.variables if id(v) not in given]
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(
            module,
            folder,
            signatures={_SIGNATURE: function.get_concrete_function()},
            options=tf.saved_model.SaveOptions(
                experimental_custom_gradients=False
            ),
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[_SIGNATURE]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            return bytes(converter.convert())
        except Exception as error:
            raise ValueError(
                f"LiteRT cannot run this network: {_reason(error)}"
            ) from error


def _reason(error: Exception) -> str:
    """Returns the line of a converter's error that names missing operations."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if " ops: " in line]
    return (named or lines or [repr(error)])[0]

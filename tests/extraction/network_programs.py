"""Files of small networks: the input's numbers times a matrix."""

import numpy as np
import pytest
import tensorflow as tf


def save_onnx(path, shape, weights):
    """Writes an ONNX file; `shape` is the input's, with names for any size."""
    pytest.importorskip("onnxruntime", reason="comes with the extra onnx")
    onnx = pytest.importorskip("onnx", reason="comes with the extra onnx")
    make, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [
            make.make_node("Flatten", ["patches"], ["flat"]),
            make.make_node("MatMul", ["flat", "weights"], ["features"]),
        ],
        "network",
        [make.make_tensor_value_info("patches", floats, shape)],
        [make.make_tensor_value_info("features", floats, None)],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = make.make_model(
        graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, path)


def save_saved_model(path, shape, weights):
    """Writes a SavedModel; `shape` is the input's, with None for any size."""
    module = tf.Module()
    module.weights = tf.Variable(weights)

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
    def run(patches):
        flat = tf.reshape(patches, [-1, np.shape(weights)[0]])
        return {"features": flat @ module.weights}

    module.run = run
    tf.saved_model.save(module, path, {"serving_default": run})

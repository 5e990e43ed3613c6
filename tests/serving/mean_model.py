"""An ONNX file of known answers, beside its card."""

import json

import numpy as np
import pytest
from fake_predictor import MAX_FRAMES, NUM_CLASSES, WIDTH, fake_predictor

from distill.deployment.interface import CARD, CLASS_NAMES

WEIGHTS = np.linspace(-2, 2, NUM_CLASSES).astype(np.float32)


def write_mean_model(path, max_frames=MAX_FRAMES, width=WIDTH, weights=WEIGHTS):
    """Writes an ONNX file: sigmoid(mean of a video / 255 * weights)."""
    onnx = pytest.importorskip("onnx", reason="comes with the extra onnx")
    pytest.importorskip("onnxruntime", reason="comes with the extra onnx")
    kinds, node = onnx.TensorProto, onnx.helper.make_node
    tensor = onnx.helper.make_tensor_value_info
    constant = onnx.numpy_helper.from_array
    graph = onnx.helper.make_graph(
        [
            node("Cast", ["frames"], ["values"], to=kinds.FLOAT),
            node("ReduceSum", ["values", "axes"], ["sums"], keepdims=0),
            node("Cast", ["num_frames"], ["lengths"], to=kinds.FLOAT),
            node("Div", ["sums", "lengths"], ["means"]),
            node("Unsqueeze", ["means", "last"], ["columns"]),
            node("Mul", ["columns", "weights"], ["logits"]),
            node("Sigmoid", ["logits"], ["predictions"]),
        ],
        "mean",
        [
            tensor("frames", kinds.UINT8, ["n", max_frames, width]),
            tensor("num_frames", kinds.INT32, ["n"]),
        ],
        [tensor("predictions", kinds.FLOAT, ["n", NUM_CLASSES])],
        [
            constant(np.array([1, 2]), "axes"),
            constant(np.array([1]), "last"),
            constant(weights / width / 255, "weights"),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, path)
    card = {"interface": fake_predictor().interface.to_json()}
    sizes = {"feature_sizes": [width - 1, 1], "max_frames": max_frames}
    card["interface"]["schema"] |= sizes
    (path.parent / CARD).write_text(json.dumps(card))
    names = [f"{i},class {i}" for i in range(NUM_CLASSES)]
    (path.parent / CLASS_NAMES).write_text("\n".join(["index,name", *names]))


def predict_mean(frames, weights=WEIGHTS):
    """Returns the model's probabilities `[classes]` of a video's bytes."""
    return 1 / (1 + np.exp(-weights * np.mean(frames) / 255))

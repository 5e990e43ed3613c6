"""An ONNX file, served as `distill serve` is run, without TensorFlow."""

import json

import numpy as np
import pytest
from fake_predictor import MAX_FRAMES, NUM_CLASSES, WIDTH, fake_predictor
from server_process import server

from distill.deployment.interface import CARD, CLASS_NAMES
from distill.predictor import Predictor
from tools.service_load.load import LoadSettings, run_load_test

WEIGHTS = np.linspace(-2, 2, NUM_CLASSES).astype(np.float32)


def write_mean_model(path):
    """Writes an ONNX file: sigmoid(mean of a video / 255 * WEIGHTS)."""
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
            tensor("frames", kinds.UINT8, ["n", MAX_FRAMES, WIDTH]),
            tensor("num_frames", kinds.INT32, ["n"]),
        ],
        [tensor("predictions", kinds.FLOAT, ["n", NUM_CLASSES])],
        [
            constant(np.array([1, 2]), "axes"),
            constant(np.array([1]), "last"),
            constant(WEIGHTS / WIDTH / 255, "weights"),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, path)
    interface = fake_predictor().interface
    card = {"interface": interface.to_json()}
    (path.parent / CARD).write_text(json.dumps(card))
    names = [f"{i},class {i}" for i in range(NUM_CLASSES)]
    (path.parent / CLASS_NAMES).write_text("\n".join(["index,name", *names]))


def test_an_onnx_artifact_is_served_without_tensorflow(tmp_path):
    path = tmp_path / "model.onnx"
    write_mean_model(path)
    predictor = Predictor.load(path)
    video = np.full([3, WIDTH], 51, np.uint8)
    np.testing.assert_allclose(
        predictor.probabilities([video])[0],
        1 / (1 + np.exp(-WEIGHTS / 5)),
        atol=1e-6,
    )
    with server(artifact=path) as (_, port):
        settings = LoadSettings(
            f"http://127.0.0.1:{port}", "student", 4, num_requests=200
        )
        result = run_load_test(settings, predictor)
    assert result.wrong == 0, result.errors
    assert result.statuses[200] > 150

"""An ONNX file, served as `distill serve` is run, without TensorFlow."""

import numpy as np
from fake_predictor import WIDTH
from mean_model import predict_mean, write_mean_model
from server_process import server

from distill.predictor import Predictor
from tools.service_load.load import LoadSettings, run_load_test


def test_an_onnx_artifact_is_served_without_tensorflow(tmp_path):
    path = tmp_path / "model.onnx"
    write_mean_model(path)
    predictor = Predictor.load(path)
    video = np.full([3, WIDTH], 51, np.uint8)
    np.testing.assert_allclose(
        predictor.probabilities([video])[0],
        predict_mean(video),
        atol=1e-6,
    )
    with server(artifact=path) as (_, port):
        settings = LoadSettings(
            f"http://127.0.0.1:{port}", "student", 4, num_requests=200
        )
        result = run_load_test(settings, predictor)
    assert result.wrong == 0, result.errors
    assert result.statuses[200] > 150

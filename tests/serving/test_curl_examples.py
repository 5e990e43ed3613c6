"""The curl commands of docs/serving.md, as they stand."""

import base64
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from mean_model import predict_mean, write_mean_model
from server_process import ROOT, server

TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
EXAMPLES = [
    block
    for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.M | re.S)
    if re.search("^curl ", block, re.M)
]


def check_answer(request, answer):
    """Compares the best classes of a request's videos with NumPy."""
    if "inputs" in request:
        columns = request["inputs"]
        rows = zip(columns["frames"], columns["num_frames"], strict=True)
        found = answer["outputs"]["probabilities"]
    else:
        rows = [
            (v["frames"], v.get("num_frames")) for v in request["instances"]
        ]
        found = [row["probabilities"] for row in answer["predictions"]]
    for (frames, num_frames), probabilities in zip(rows, found, strict=True):
        if isinstance(frames, dict):
            content = base64.b64decode(frames["b64"])
            frames = np.frombuffer(content, np.uint8).reshape(-1, 128)
        frames = np.array(frames)[:num_frames]
        if frames.dtype == float:
            # Byte b stands for b * 4 / 255 + 4 / 512 - 2.
            frames = np.round((frames + 2 - 4 / 512) * 255 / 4)
        best = np.sort(predict_mean(frames))[::-1]
        np.testing.assert_allclose(probabilities, best, atol=1e-5)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_examples_are_answered(tmp_path, monkeypatch):
    model = tmp_path / "model.onnx"
    write_mean_model(model, max_frames=10, width=128)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    monkeypatch.setenv("CURL_HOME", str(tmp_path))
    num_predictions = 0
    with server(artifact=model) as (_, port):
        redirect = f'connect-to = "127.0.0.1:8501:127.0.0.1:{port}"\n'
        (tmp_path / ".curlrc").write_text(f"silent\nfail\n{redirect}")
        for example in EXAMPLES:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", example],
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, example + done.stderr
            if ":predict" in example:
                request = json.loads((tmp_path / "request.json").read_text())
                check_answer(request, json.loads(done.stdout))
                num_predictions += 1
    assert num_predictions == 3

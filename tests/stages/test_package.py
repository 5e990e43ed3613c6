"""A folder for a model hub, read by the hub's own library."""

import json
import re

import numpy as np
import pytest
import stage_runs
from stage_runs import NO_TENSORFLOW, error_line, run_python, run_script

from distill.deployment.package import write_package
from distill.networks.loading import load_network
from distill.predictor import Predictor


@pytest.fixture(scope="module")
def exported(reader, student_checkpoint, tmp_path_factory):
    """Returns an export as ONNX and LiteRT."""
    return stage_runs.write_export(
        student_checkpoint,
        load_network(student_checkpoint, "student"),
        reader,
        tmp_path_factory.mktemp("exports") / "student",
        ["onnx", "litert"],
    )


@pytest.mark.parametrize("artifact", ["model.onnx", "model.tflite"])
def test_the_text_of_a_package_predicts_its_example(
    exported, tmp_path, artifact
):
    folder = tmp_path / "student"
    write_package(exported / artifact, folder)
    example = np.load(exported / "example.npz")
    expected = example["predictions"][0]
    best = np.argsort(-expected)[:5]
    text = (folder / "README.md").read_text()
    by_predictor, by_runtime = re.findall(r"```python\n(.*?)```", text, re.S)
    printed = run_python(by_predictor, cwd=folder)
    assert re.findall(r"'(\d+)'", printed) == [str(index) for index in best]
    printed = run_python(by_runtime, cwd=folder)
    lines = [f"{expected[index]:.3f} {index}" for index in best]
    assert printed.splitlines() == lines
    video = example["frames"][0, : example["num_frames"][0]]
    found = Predictor.load(folder / artifact).probabilities([video])[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_hub_reads_the_metadata_of_a_package(exported, tmp_path):
    hub = pytest.importorskip("huggingface_hub", reason="comes with dev")
    folder = tmp_path / "student"
    flags = {
        "artifact": exported / "model.onnx",
        "output_dir": folder,
        "license": "cc-by-4.0",
    }
    run_script("package", *stage_runs.to_flags(flags), driver=NO_TENSORFLOW)
    data = hub.ModelCard.load(folder / "README.md").data
    assert data.library_name == "distill"
    assert data.pipeline_tag == "video-classification"
    assert data.license == "cc-by-4.0"
    assert data.tags[-1] == "onnx"
    card = json.loads((exported / "card.json").read_text())
    (row,) = (r for r in card["artifacts"] if r["path"] == "model.onnx")
    scores = {s.metric_type: s.metric_value for s in data.eval_results}
    names = ("gap", "mean_average_precision")
    assert scores == {name: row[name] for name in names}
    config = json.loads((folder / "config.json").read_text())
    assert len(config["id2label"]) == stage_runs.NUM_CLASSES
    assert json.loads((folder / "card.json").read_text())["artifacts"] == [row]
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "config.json", "card.json"),
        *("class_names.csv", "example.npz", "model.onnx"),
    }


def test_no_license_is_made_up(exported, tmp_path):
    write_package(exported / "model.onnx", tmp_path / "student")
    assert "license" not in (tmp_path / "student" / "README.md").read_text()


@pytest.mark.parametrize(
    ("artifact", "license_id", "message"),
    [
        ("model.onx", None, r"Unknown artifact 'model.onx'. Did you mean 'mod"),
        ("example.npz", None, "Unknown artifact 'example.npz'"),
        ("model.onnx", "Apache 2", "such as apache-2.0 or cc-by-4.0, got 'Apa"),
    ],
)
def test_what_is_no_package_is_refused(
    exported, tmp_path, artifact, license_id, message
):
    with pytest.raises(ValueError, match=message):
        write_package(exported / artifact, tmp_path / "student", license_id)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_something_else_is_not_replaced(exported):
    flags = {"artifact": exported / "model.onnx", "output_dir": exported}
    before = sorted(path.name for path in exported.iterdir())
    flags = stage_runs.to_flags(flags)
    line = error_line(run_script("package", *flags, status=1))
    assert line.endswith("is not empty: give a new directory.")
    assert sorted(path.name for path in exported.iterdir()) == before


def test_a_damaged_card_is_named(exported, tmp_path):
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    card = json.loads((tmp_path / "card.json").read_text())
    del card["network"]["macs"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="not an export's card: no or wrong"):
        write_package(tmp_path / "model.onnx", tmp_path / "student")

"""Predictions of many files: shared among processes, kept, never mixed up."""

import dataclasses

import numpy as np
import pytest
import stage_runs
from stage_runs import error_line, run_script

from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.deployment.artifact_network import (
    ArtifactNetwork,
    evaluate_artifact,
)
from distill.deployment.artifacts import choose_kinds
from distill.deployment.export import Export
from distill.deployment.interface import numbered_classes
from distill.evaluation.evaluate import evaluate_network, predict_videos
from distill.evaluation.inference import InferenceFiles, choose_shard
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network

FILES = [f"part-{index}.tfrecord" for index in range(7)]


@pytest.fixture(scope="module")
def reader(videos):
    return VideoReader(
        stage_runs.frame_schema(),
        find_files(f"{videos}/validate-*.tfrecord"),
        16,
    )


@pytest.fixture(scope="module")
def artifact(reader, student_checkpoint, tmp_path_factory):
    """Returns an ONNX file of the student at three frames."""
    network = load_network(student_checkpoint, "student")
    export = Export(
        str(student_checkpoint),
        "student",
        network.at_budget(FrameBudget("uniform_k", num_frames=3)),
        reader,
        "validate",
        numbered_classes(stage_runs.NUM_CLASSES),
    )
    directory = tmp_path_factory.mktemp("exports") / "student"
    list(export.write(directory, choose_kinds(["onnx"], ["float32"])))
    return directory / "model.onnx"


def test_shards_share_the_files():
    shards = [choose_shard(FILES, f"{index},3") for index in range(3)]
    assert sorted(sum(shards, [])) == FILES
    assert shards[1] == ["part-1.tfrecord", "part-4.tfrecord"]
    assert choose_shard(FILES, None) == FILES


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        ("1", "must be i,n such as 0,4, got '1'"),
        ("a,2", "must be i,n"),
        ("2,2", "i must be from 0 to n - 1"),
        ("8,9", "there are 7 files, none for this"),
    ],
)
def test_bad_shards_are_refused(shard, message):
    with pytest.raises(ValueError, match=message):
        choose_shard(FILES, shard)


def test_artifact_network_predicts_and_scores_as_its_network(
    reader, artifact, student_checkpoint
):
    network = load_network(student_checkpoint, "student")
    network = network.at_budget(FrameBudget("uniform_k", num_frames=3))
    loaded = ArtifactNetwork(artifact)
    pairs = zip(
        predict_videos(loaded, reader),
        predict_videos(network, reader),
        strict=True,
    )
    for found, expected in pairs:
        assert found.ids == expected.ids
        np.testing.assert_allclose(
            found.predictions, expected.predictions, atol=1e-6
        )
    found = evaluate_artifact(artifact, reader, network=loaded)
    expected = evaluate_network(network, reader)
    for key in ("gap", "mean_average_precision", "loss", "num_videos"):
        assert found[key] == pytest.approx(expected[key], abs=1e-5)
    for key in ("frames", "parameters", "macs"):
        assert found[key] == expected[key]
    assert found["role"] == "student" and found["step"] == 15


def test_finished_files_are_kept_and_missing_ones_made(
    reader, artifact, tmp_path
):
    results = InferenceFiles(tmp_path, {"sha256": "a"}, top_k=4)
    network = ArtifactNetwork(artifact)
    lines = list(results.write(network, reader))
    assert all(line.startswith("wrote the predictions") for line in lines)
    written = {path.name: path.read_text() for path in tmp_path.glob("*.csv")}
    assert len(written) == len(reader.files) == 3
    first, *others = sorted(tmp_path.glob("*.csv"))
    first.unlink()
    kept = {path: path.stat().st_mtime_ns for path in others}
    lines = list(results.write(network, reader))
    assert [line.split()[0] for line in lines] == ["wrote", "kept", "kept"]
    assert {path: path.stat().st_mtime_ns for path in others} == kept
    assert first.read_text() == written[first.name]


def test_predictions_of_another_model_are_not_mixed_in(reader, tmp_path):
    results = InferenceFiles(tmp_path, {"sha256": "a"}, top_k=4)
    results.prepare(reader.files)
    other = dataclasses.replace(results, source={"sha256": "b"})
    with pytest.raises(ValueError, match="holds predictions of .*'a'"):
        other.prepare(reader.files)


def test_two_files_of_one_name_are_refused(tmp_path):
    results = InferenceFiles(tmp_path, {}, top_k=4)
    with pytest.raises(ValueError, match="x/a.tfrecord and y/a.tfrecord would"):
        results.prepare(["x/a.tfrecord", "y/a.tfrecord"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_scripts_run_an_artifact(videos, artifact, tmp_path):
    data = f"{videos}/validate-*.tfrecord"
    flags = (f"--artifact={artifact}", "--batch_size=16", "--gpu=-1")
    whole = tmp_path / "whole.csv"
    run_script(
        "infer",
        *flags,
        f"--input_data_pattern={data}",
        f"--output_file={whole}",
    )
    parts = tmp_path / "parts"
    for shard in ("0,2", "1,2"):
        done = run_script(
            "infer",
            *flags,
            f"--input_data_pattern={data}",
            f"--output_dir={parts}",
            f"--shard={shard}",
        )
        assert done.stdout.startswith("wrote the predictions of ")
    header, *rows = whole.read_text().splitlines()
    found = []
    for path in parts.glob("*.csv"):
        part = path.read_text().splitlines()
        assert part[0] == header
        found += part[1:]
    assert sorted(found) == sorted(rows)
    done = run_script("evaluate", *flags, f"--eval_data_pattern={data}")
    assert "GAP@20" in done.stdout
    message = error_line(
        run_script(
            "evaluate",
            *flags,
            f"--eval_data_pattern={data}",
            "--frame_budget=2",
            status=1,
        )
    )
    assert "--frame_budget: an artifact sees the frames" in message

"""Predictions as CSV: one file for all videos, or a file for each input."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from stage_runs import (
    NUM_CLASSES,
    NUM_VALIDATE_VIDEOS,
    error_line,
    run_script,
    validation_reader,
    write_export,
)
from stored_files import read_records, true_labels, write_records

from distill.deployment.artifact_network import (
    ArtifactNetwork,
    evaluate_artifact,
)
from distill.deployment.scoring import readable_schema
from distill.evaluation.evaluate import (
    Prediction,
    evaluate_checkpoint,
    evaluate_network,
    predict_videos,
)
from distill.evaluation.inference import (
    InferenceFiles,
    choose_shard,
    write_predictions,
)
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network
from tests import plain_metrics


def read_csv(path: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns every row's id and its (class, score) pairs as text."""
    header, *lines = path.read_text().splitlines()
    assert header == "VideoId,LabelConfidencePairs"
    rows = []
    for line in lines:
        video_id, pairs = line.split(",")
        words = pairs.split(" ")
        rows.append((video_id, list(zip(words[::2], words[1::2], strict=True))))
    return rows


@pytest.fixture(scope="module")
def csv_file(videos, joint_checkpoint, tmp_path_factory) -> Path:
    """Returns what the script writes with all classes of every video."""
    path = tmp_path_factory.mktemp("csv") / "made" / "predictions.csv"
    flags = [
        f"--checkpoint={joint_checkpoint}",
        f"--input_data_pattern={videos}/validate-*.tfrecord",
        f"--output_file={path}",
        f"--top_k={NUM_CLASSES}",
        "--batch_size=16",
        "--gpu=-1",
    ]
    done = run_script("infer", *flags)
    said = f"wrote the predictions of {NUM_VALIDATE_VIDEOS} videos to {path}"
    assert done.stdout.splitlines() == [said]
    assert done.stderr == ""
    assert Path(f"{path}.flags").read_text().splitlines() == sorted(flags)
    return path


def test_every_video_is_written_once_with_its_best_classes_first(
    videos, csv_file
):
    rows = read_csv(csv_file)
    expected = sorted(true_labels(videos))
    assert len(expected) == NUM_VALIDATE_VIDEOS
    assert sorted(video_id for video_id, _ in rows) == expected
    for _, pairs in rows:
        assert sorted(int(label) for label, _ in pairs) == list(range(10))
        scores = [score for _, score in pairs]
        assert all(len(score) == 8 and score[1] == "." for score in scores)
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("top_k", [1, 4, 10, 20])
def test_metrics_of_the_csv_equal_the_evaluation(
    videos, reader, joint_checkpoint, csv_file, top_k
):
    rankings = {
        video_id: [(int(label), float(score)) for label, score in pairs]
        for video_id, pairs in read_csv(csv_file)
    }
    expected = plain_metrics.score_videos(rankings, true_labels(videos), top_k)
    scores = evaluate_checkpoint(
        joint_checkpoint,
        "student",
        reader,
        top_k=top_k,
    )
    assert scores["num_videos"] == NUM_VALIDATE_VIDEOS
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-5), name


@pytest.mark.parametrize("top_k", [1, 3, 10, 25])
def test_rows_hold_the_k_best_classes(tmp_path, top_k):
    random = np.random.default_rng(3)
    predictions = random.permutation(70).reshape(7, 10) / np.float32(70)
    ids = [f"video{index}" for index in range(7)]
    batches = [
        Prediction(ids[:4], predictions[:4], np.zeros((4, 10), bool)),
        Prediction(ids[4:], predictions[4:], np.zeros((3, 10), bool)),
    ]
    path = tmp_path / "predictions.csv"
    assert list(write_predictions(path, batches, top_k)) == [4, 7]
    expected = ["VideoId,LabelConfidencePairs"]
    for video_id, scores in zip(ids, predictions, strict=True):
        best = plain_metrics.rank(scores)[:top_k]
        pairs = " ".join(f"{label} {score:.6f}" for label, score in best)
        expected.append(f"{video_id},{pairs}")
    assert path.read_text() == "\n".join(expected) + "\n"


def test_records_without_labels_get_the_same_predictions(
    videos, joint_checkpoint, csv_file, tmp_path
):
    for file in videos.glob("validate-*.tfrecord"):
        messages = []
        for record in read_records(videos, file.name.split("-of-")[0]):
            message = tf.train.SequenceExample.FromString(record)
            del message.context.feature["labels"]
            messages.append(message)
        write_records(tmp_path / file.name, messages)
    network = load_network(joint_checkpoint, "student")
    reader = validation_reader(tmp_path, need_labels=False)
    path = tmp_path / "predictions.csv"
    list(write_predictions(path, predict_videos(network, reader), 10))
    assert path.read_bytes() == csv_file.read_bytes()


def test_batch_size_changes_no_prediction(videos, joint_checkpoint):
    network = load_network(joint_checkpoint, "teacher")
    predictions = []
    for batch_size in (1, 7, 64):
        reader = validation_reader(videos, batch_size=batch_size)
        batches = list(predict_videos(network, reader))
        assert len(batches) == -(-NUM_VALIDATE_VIDEOS // batch_size)
        predictions.append(np.concatenate([b.predictions for b in batches]))
    assert np.abs(predictions[0] - predictions[1]).max() < 1e-6
    assert np.abs(predictions[0] - predictions[2]).max() < 1e-6


def test_one_csv_for_two_networks_is_refused(joint_checkpoint, tmp_path):
    done = run_script(
        "infer",
        f"--checkpoint={joint_checkpoint}",
        "--role=both",
        f"--output_file={tmp_path}/predictions.csv",
        status=1,
    )
    assert "--role=both" in error_line(done)


FILES = [f"part-{index}.tfrecord" for index in range(7)]


@pytest.fixture(scope="module")
def artifact(reader, student_checkpoint, tmp_path_factory):
    """Returns an ONNX file of the student at three frames."""
    network = load_network(student_checkpoint, "student")
    network = network.at_budget(FrameBudget("uniform_k", num_frames=3))
    directory = tmp_path_factory.mktemp("exports") / "student"
    path = write_export(
        student_checkpoint, network, reader, directory, ["onnx"]
    )
    return path / "model.onnx"


def test_shards_share_the_files():
    shards = [choose_shard(FILES, f"{index},3") for index in range(3)]
    assert shards == [FILES[0::3], FILES[1::3], FILES[2::3]]
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


@pytest.mark.slow
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
    assert found["role"] == "student"
    assert found["step"] == 15


def test_an_artifact_of_whole_videos_reads_no_segments(artifact):
    assert not readable_schema(artifact, segments=False).segment_labels
    with pytest.raises(ValueError, match=r"reads whole videos: for --segment_"):
        readable_schema(artifact, segments=True)


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


def test_predictions_of_an_input_that_has_changed_are_not_kept(
    videos, artifact, tmp_path
):
    data = Path(shutil.copytree(videos, tmp_path / "data"))
    results = InferenceFiles(tmp_path / "csv", {"sha256": "a"}, top_k=4)
    network = ArtifactNetwork(artifact)
    list(results.write(network, validation_reader(data)))
    path, other, _ = sorted(data.glob("validate-*.tfrecord"))
    before = path.stat().st_size
    with path.open("ab") as file:
        file.write(other.read_bytes())
    csv = tmp_path / "csv" / f"{path.stem}.csv"
    message = f"{csv} was made of a file of {before} bytes, but {path} has "
    with pytest.raises(ValueError, match=re.escape(message)):
        list(results.write(network, validation_reader(data)))
    # A directory of an earlier version does not say what it was made of.
    for note in (tmp_path / "csv").glob(".*.input.json"):
        note.unlink()
    first, *_ = results.write(network, validation_reader(data))
    words = "(of an earlier version; its input is not compared)"
    assert first == f"kept {csv} {words}"


def test_one_directory_takes_one_model_and_names_that_differ(tmp_path):
    results = InferenceFiles(tmp_path, {"sha256": "a"}, top_k=4)
    with pytest.raises(ValueError, match=r"x/a\.tfrecord and y/a\.tfrecord"):
        results.prepare(["x/a.tfrecord", "y/a.tfrecord"])
    assert not list(tmp_path.iterdir())
    results.prepare(FILES)
    other = dataclasses.replace(results, source={"sha256": "b"})
    with pytest.raises(ValueError, match=r"holds predictions of .*'a'"):
        other.prepare(FILES)


@pytest.mark.slow
def test_scripts_run_an_artifact(videos, artifact, tmp_path):
    data = f"{videos}/validate-*.tfrecord"
    flags = (f"--artifact={artifact}", "--batch_size=16", "--gpu=-1")
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts"
    infer = ("infer", *flags, f"--input_data_pattern={data}")
    run_script(*infer, f"--output_file={whole}")
    for shard in ("0,2", "1,2"):
        done = run_script(*infer, f"--output_dir={parts}", f"--shard={shard}")
        assert done.stdout.startswith("wrote the predictions of ")
    header, *rows = whole.read_text().splitlines()
    found = []
    for path in parts.glob("*.csv"):
        part = path.read_text().splitlines()
        assert part[0] == header
        found += part[1:]
    assert sorted(found) == sorted(rows)
    flags = (*flags, f"--eval_data_pattern={data}")
    assert "GAP@20" in run_script("evaluate", *flags).stdout
    done = run_script("evaluate", *flags, "--frame_budget=2", status=1)
    message = "--frame_budget: an artifact sees the frames it was exported for"
    assert message in error_line(done)

"""Runs whose every path is a URL, compared with runs on local files."""

import contextlib
import glob
import os
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import stage_runs
import tensorflow as tf
from stored_files import assert_same_checkpoint, read_log

import distill
from distill.checkpoints.averaging import average_checkpoints
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.deployment.archive import write_archive
from distill.deployment.package import write_package
from distill.evaluation.ensemble_building import build_ensemble
from distill.evaluation.evaluate import predict_videos
from distill.evaluation.inference import (
    InferenceFiles,
    write_labels,
    write_predictions,
)
from distill.evaluation.metrics_files import read_named_scores, write_metrics
from distill.evaluation.prediction_files.combining import (
    Combination,
    combine_predictions,
)
from distill.evaluation.prediction_files.files import match_files
from distill.evaluation.prediction_files.scores import score_predictions
from distill.networks.ensemble_file import Member
from distill.networks.loading import load_network
from distill.system.storage import local_copy, to_path, upload
from tests.cloud_servers import gs_bucket, s3_bucket

CHANGING = ("examples_per_second", "share_waiting", "checkpoint")


class StopAfter(keras.callbacks.Callback):
    """Stops a run after some steps, in the middle of an epoch."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        self.model.stop_training = not self.left


def train_and_predict(settings, root, stop_after=None):
    """Writes a run, its scores and its predictions below `root`.

    Returns:
      The scores.
    """
    pattern = settings.training.train_data_pattern.replace("train", "validate")
    options = distill.RunOptions(
        f"{root}/run",
        eval_data_pattern=pattern,
        keep_checkpoints=1,
        log_every_steps=2,
        quiet=True,
    )
    if stop_after is not None:
        stopped = distill.train(settings, options, [StopAfter(stop_after)])
        assert stopped.ending == "callback"
    assert distill.train(settings, options).ending == "complete"
    scores = distill.evaluate(f"{root}/run", pattern)
    write_metrics(f"{root}/metrics.json", scores)
    network = load_network(f"{root}/run/best.h5", "student")
    reader = VideoReader(settings.data, find_files(pattern), 16)
    list(write_predictions(f"{root}/a.csv", predict_videos(network, reader), 5))
    return without_changing(read_named_scores([f"a={root}/metrics.json"]))


def convert_and_export(root, videos):
    """Writes all else that is made of such a run; returns the scores."""
    pattern = f"{videos}/validate-*.tfrecord"
    reader = stage_runs.validation_reader(videos)
    checkpoints = [f"{root}/run/checkpoint-00000010.h5", f"{root}/run/best.h5"]
    average_checkpoints(checkpoints, f"{root}/mean.h5")
    distill.convert(f"{root}/run", f"{root}/student.h5")
    members = [Member(name, "student", 1.0) for name in checkpoints]
    ensemble = build_ensemble(reader, members, f"{root}/ensemble.json")
    scores = {"ensemble": ensemble["ensemble"]}
    for name in ("student.h5", "mean.h5"):
        scores[name] = distill.evaluate(f"{root}/{name}", pattern)
    list(write_labels(f"{root}/labels.csv", reader))
    network = load_network(f"{root}/student.h5", "student")
    list(InferenceFiles(to_path(f"{root}/each"), {}, 5).write(network, reader))
    files = [f"{root}/a.csv"] * 2
    combine_predictions(files, Combination(), f"{root}/b.csv")
    each = match_files(f"{root}/each/*.csv", "predictions")
    scores["each"] = score_predictions(each, [f"{root}/labels.csv"])
    distill.export(
        f"{root}/student.h5",
        f"{root}/export",
        pattern,
        formats=["saved_model", "keras"],
        precisions=["float32"],
    )
    write_archive(f"{root}/export", "saved_model", 10**9)
    write_package(f"{root}/export/saved_model", f"{root}/package", "mit")
    for name in ("export/saved_model", "export", "package/saved_model"):
        scores[name] = distill.evaluate(f"{root}/{name}", pattern)
    predictor = distill.Predictor.load(f"{root}/export/model.keras")
    video = predictor.predict(np.full((3, 16), 100, np.uint8))
    scores["predictor"] = {"probabilities": video.probabilities.tolist()}
    return without_changing(scores)


def without_changing(scores):
    return {
        name: {k: v for k, v in fields.items() if k not in CHANGING}
        for name, fields in scores.items()
    }


def read_scalars(directory):
    """Returns tag, step and value of all scalars below a directory."""
    found = []
    for file in sorted(glob.glob(f"{directory}/**/*tfevents*", recursive=True)):
        for record in tf.data.TFRecordDataset(file):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [
                (value.tag, event.step, tf.make_ndarray(value.tensor).item())
                for value in event.summary.value
                if not value.tag.endswith((*CHANGING, "session_start_info"))
            ]
    return sorted(found)


def names_below(directory):
    """Returns the names of all files, without the event files' own."""
    names = [
        path.relative_to(directory).as_posix()
        for path in Path(directory).rglob("*")
        if path.is_file() and "tfevents" not in path.name
    ]
    return sorted(names)


def assert_same_run(directory, expected):
    """Asserts that the files of two runs are equal, bit for bit."""
    assert names_below(directory) == names_below(expected)
    for name in names_below(expected):
        if name.endswith(".h5"):
            assert_same_checkpoint(directory / name, expected / name)
        if name.endswith(".csv"):
            assert (directory / name).read_bytes() == (
                expected / name
            ).read_bytes()
    logs = [
        [
            {key: value for key, value in line.items() if key not in CHANGING}
            for line in read_log(each / "run")
        ]
        for each in (directory, expected)
    ]
    assert logs[0] == logs[1]
    assert {line["kind"] for line in logs[0]} == {"step", "evaluation"}
    assert {line["step"] for line in logs[0]} == {2, 4, 5, 6, 8, 10}
    scalars = read_scalars(directory / "run")
    assert scalars == read_scalars(expected / "run")
    assert len(scalars) > 30


@pytest.fixture(scope="module")
def local(videos, tmp_path_factory):
    """Returns a run on local files with its exports, and their scores."""
    directory = tmp_path_factory.mktemp("local")
    settings = stage_runs.pooled_settings(videos, num_epochs=2)
    train_and_predict(settings, directory)
    return directory, convert_and_export(directory, videos)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Works in an empty directory, which must stay empty."""
    monkeypatch.chdir(tmp_path)
    yield
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("nowhere")
@pytest.mark.slow
def test_a_stopped_run_in_tensorflows_memory_is_that_of_local_files(
    video_level_videos, tmp_path_factory
):
    root, videos = "ram://quick/out", "ram://quick/videos"
    for file in video_level_videos.iterdir():
        upload(file, to_path(f"{videos}/{file.name}"))
    settings = stage_runs.video_level_settings(videos, num_epochs=2)
    scores = train_and_predict(settings, root, stop_after=7)
    directory = tmp_path_factory.mktemp("local")
    expected = stage_runs.video_level_settings(video_level_videos, num_epochs=2)
    assert scores == train_and_predict(expected, directory)
    with local_copy(root) as copy:
        assert_same_run(copy, directory)
        with h5py.File(copy / "run" / "best.h5") as file:
            assert videos in str(file.attrs["settings"])


@pytest.mark.slow
@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("kind", ["ram", "s3", "gs"])
def test_all_that_is_made_of_a_run_is_that_of_local_files(kind, local, videos):
    expected, expected_scores = local
    servers = {"ram": contextlib.nullcontext, "s3": s3_bucket, "gs": gs_bucket}
    with servers[kind]() as bucket:
        root = f"{bucket or 'ram://bucket'}/a/b"
        settings = stage_runs.pooled_settings(videos, num_epochs=2)
        train_and_predict(settings, root, stop_after=7)
        assert convert_and_export(root, videos) == expected_scores
        with local_copy(root) as copy:
            assert_same_run(copy, expected)

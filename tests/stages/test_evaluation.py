"""Evaluation gives the metrics of the network that a checkpoint holds."""

import json
import re
import shutil
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from stage_runs import (
    NUM_VALIDATE_VIDEOS,
    predict_all,
    run_script,
    start_script,
    train_in_process,
    validation_reader,
    video_level_settings,
    video_schema,
)
from stored_files import read_records, read_scalars, true_labels

from distill.checkpoints import file_checks
from distill.checkpoints.file_checks import CheckpointGoneError
from distill.deployment.scoring import evaluate
from distill.distributed.devices import choose_devices
from distill.evaluation.evaluate import (
    evaluate_checkpoint,
    evaluate_network,
    evaluate_networks,
)
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network
from distill.system.hdf5_files import open_hdf5_file
from tests import plain_metrics
from tests.hang_guard import HANG_SECONDS, wait_until

METRICS = {"gap", "hit_at_one", "perr", "mean_average_precision", "loss"}
NUM_PARAMETERS = 4 * 16 + (16 * 24 + 6 * 24 + 24) + (12 * 24 + 6 * 24 + 24)
NUM_PARAMETERS += 12 * 30 + 12 * 20 + 20


@pytest.fixture(scope="module")
def fast_run(video_level_videos, tmp_path_factory) -> Path:
    """Returns the directory of a logistic regression of two epochs."""
    directory = tmp_path_factory.mktemp("fast")
    settings = video_level_settings(
        video_level_videos, num_epochs=2, base_learning_rate=0.5
    )
    train_in_process(settings, directory)
    return directory


def test_logistic_regression_scores_as_in_plain_python(
    video_level_videos, videos, fast_run
):
    checkpoint = fast_run / "checkpoint-00000010.h5"
    with h5py.File(checkpoint) as file:
        kernel = file["student/classifier/kernel"][()]
        bias = file["student/classifier/bias"][()]
    rankings = {}
    for record in read_records(video_level_videos, "validate"):
        feature = tf.train.Example.FromString(record).features.feature
        names = ("mean_rgb", "mean_audio")
        values = [v for name in names for v in feature[name].float_list.value]
        inputs = np.asarray(values) / np.linalg.norm(values)
        scores = 1 / (1 + np.exp(-(inputs @ kernel + bias)))
        video_id = feature["id"].bytes_list.value[0].decode()
        rankings[video_id] = plain_metrics.rank(scores)
    labels = true_labels(videos)
    expected = plain_metrics.score_videos(rankings, labels, 20)
    expected["loss"] = plain_metrics.cross_entropy(rankings, labels)
    reader = validation_reader(video_level_videos, video_schema())
    scores = evaluate_checkpoint(checkpoint, "student", reader)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, rel=1e-5), name
    assert scores["step"] == 10
    assert scores["macs"] == 16 * 10
    assert scores["parameters"] == 16 * 10 + 10


@pytest.mark.parametrize("run", ["joint_run", "student_run"])
def test_student_of_either_regime_is_scored(videos, reader, request, run):
    checkpoint = request.getfixturevalue(run) / "checkpoint-00000015.h5"
    scores = evaluate_checkpoint(checkpoint, "student", reader, top_k=5)
    network = load_network(checkpoint, "student")
    ids, predictions = predict_all(network, reader)
    ranked = map(plain_metrics.rank, predictions)
    rankings = dict(zip(ids, ranked, strict=True))
    labels = true_labels(videos)
    expected = plain_metrics.score_videos(rankings, labels, 5)
    expected["loss"] = plain_metrics.cross_entropy(rankings, labels)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, rel=1e-6), name
    assert scores["frames"] == 10
    assert scores["parameters"] == NUM_PARAMETERS


@pytest.mark.parametrize("frames", ["every_n", "random_k"])
def test_networks_scored_together_score_as_each_alone(
    joint_checkpoint, reader, frames
):
    budget = FrameBudget.every(4)
    if frames == "random_k":
        budget = FrameBudget("random_k", num_frames=5)
    networks = {
        "teacher": load_network(joint_checkpoint, "teacher"),
        "student": load_network(joint_checkpoint, "student", budget=budget),
    }
    found = evaluate_networks(networks, reader, top_k=5)
    assert list(found) == ["teacher", "student"]
    for role, network in networks.items():
        expected = evaluate_network(network, reader, top_k=5)
        for scores in (expected, found[role]):
            assert scores.pop("examples_per_second") > 0
        assert found[role] == pytest.approx(expected, abs=1e-6)


def test_one_batch_alone_has_no_speed(video_level_videos, fast_run):
    checkpoint = fast_run / "checkpoint-00000005.h5"
    for batch_size, known in ((40, False), (39, True)):
        reader = validation_reader(
            video_level_videos, video_schema(), batch_size
        )
        scores = evaluate_checkpoint(checkpoint, "student", reader)
        assert (scores["examples_per_second"] is not None) == known


def test_script_scores_both_networks_of_the_newest_checkpoint(
    videos, joint_run, tmp_path
):
    metrics_file = tmp_path / "made" / "metrics.json"
    done = run_script(
        "evaluate",
        f"--train_dir={joint_run}",
        f"--eval_data_pattern={videos}/validate-*.tfrecord",
        f"--metrics_file={metrics_file}",
        f"--events_dir={tmp_path}/events",
        "--role=both",
        "--batch_size=16",
        "--gpu=-1",
    )
    checkpoint = joint_run / "checkpoint-00000015.h5"
    networks = json.loads(metrics_file.read_text())
    assert [network["role"] for network in networks] == ["teacher", "student"]
    assert [network["frames"] for network in networks] == [40, 10]
    for network in networks:
        assert network["num_videos"] == NUM_VALIDATE_VIDEOS
        assert network["examples_per_second"] > 0
        assert network["device"] == "CPU"
        assert network["checkpoint"] == str(checkpoint)
        assert network["step"] == 15
        assert network["parameters"] == NUM_PARAMETERS
    assert networks[0]["gap"] != networks[1]["gap"]
    assert done.stderr == ""
    for name in METRICS:
        for network in networks:
            assert f"{network[name]:.4f}" in done.stdout, name
    for title in ("GAP@20", "Hit@1", "PERR", "mAP", "teacher", "student"):
        assert title in done.stdout
    events = read_scalars(tmp_path / "events" / "evaluation")
    for network in networks:
        check_events(events, network, epoch=3)
    assert not (joint_run / "events" / "evaluation").exists()


def check_events(events, network, epoch):
    """Compares a network's scalars by step and epoch with its metrics."""
    role, step = network["role"], network["step"]
    assert network["epoch"] == epoch
    for name in METRICS:
        tag = f"{role}_{'label_loss' if name == 'loss' else name}"
        for place in ((tag, step), (f"epoch/{tag}", epoch)):
            assert events[place] == pytest.approx(network[name], rel=1e-6)


@pytest.mark.parametrize("gpu", [99, -2])
def test_error_of_a_missing_gpu_lists_those_there_are(gpu):
    gpus = tf.config.list_physical_devices("GPU")
    listed = ", ".join(f"{i}: {gpu.name}" for i, gpu in enumerate(gpus))
    message = (
        f"--gpu={gpu}: there is no such GPU. GPUs here: {listed or 'none'}."
        " --gpu=-1 computes on the CPU."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        choose_devices(gpu)


@pytest.mark.slow
def test_run_once_false_scores_every_new_checkpoint(
    video_level_videos, fast_run, tmp_path
):
    names = ["checkpoint-00000005.h5", "checkpoint-00000010.h5"]
    train_dir, metrics_file = tmp_path / "run", tmp_path / "metrics.json"
    train_dir.mkdir()
    # As a checkpoint that the run removes once it has newer ones.
    gone = train_dir / "checkpoint-00000003.h5"
    gone.symlink_to(tmp_path / "removed")
    printed = tmp_path / "printed"

    def scored_step():
        if metrics_file.exists():
            return json.loads(metrics_file.read_text())["step"]

    flags = [
        f"--train_dir={train_dir}",
        f"--eval_data_pattern={video_level_videos}/validate-*.tfrecord",
        f"--metrics_file={metrics_file}",
        "--run_once=false",
        "--poll_seconds=0.05",
        "--gpu=-1",
    ]
    with (
        printed.open("w") as output,
        start_script("evaluate", *flags, stdout=output) as process,
    ):
        try:
            wait_until(lambda: "skipped" in printed.read_text(), process)
            gone.unlink()
            shutil.copy(fast_run / names[0], tmp_path / "new.h5")
            (tmp_path / "new.h5").rename(train_dir / names[0])
            wait_until(lambda: scored_step() == 5, process)
            shutil.copy(fast_run / names[1], tmp_path / "new.h5")
            (tmp_path / "new.h5").rename(train_dir / names[1])
            wait_until(lambda: scored_step() == 10, process)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=HANG_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == "Interrupted.\n"
    lines = printed.read_text().splitlines()
    skipped = [line for line in lines if line.startswith("skipped")]
    assert skipped == [f"skipped: There is no checkpoint {gone}."]
    assert [x for x in lines if x.startswith(str(train_dir))] == [
        str(train_dir / name) for name in names
    ]
    events = read_scalars(train_dir / "events" / "evaluation")
    places = {place for place in events if "student_gap" in place[0]}
    assert places == {
        *(("student_gap", step) for step in (5, 10)),
        *(("epoch/student_gap", epoch) for epoch in (1, 2)),
    }
    check_events(events, json.loads(metrics_file.read_text()), epoch=2)


@pytest.mark.parametrize("opened", [1, 2, 3, 4])
def test_a_checkpoint_that_is_removed_meanwhile_is_gone_not_damaged(
    video_level_videos, fast_run, tmp_path, monkeypatch, opened
):
    """Between the look at the file and its opening, whichever it is."""
    checkpoint = Path(
        shutil.copy(fast_run / "checkpoint-00000010.h5", tmp_path)
    )
    calls = []

    def remove_and_open(path):
        calls.append(path)
        if len(calls) == opened:
            checkpoint.unlink()
        return open_hdf5_file(path)

    monkeypatch.setattr(file_checks, "open_hdf5_file", remove_and_open)
    with pytest.raises(CheckpointGoneError) as error:
        evaluate(str(checkpoint), f"{video_level_videos}/validate-*")
    assert str(error.value) == (
        f"{checkpoint} is gone: it was removed while it was to be read."
    )


def test_a_run_that_cannot_be_written_is_scored_without_events(
    video_level_videos, fast_run, tmp_path
):
    shutil.copy(fast_run / "checkpoint-00000010.h5", tmp_path)
    (tmp_path / "events").write_text("no folder")
    flags = [
        f"--train_dir={tmp_path}",
        f"--eval_data_pattern={video_level_videos}/validate-*.tfrecord",
        "--gpu=-1",
    ]
    done = run_script("evaluate", *flags)
    assert f"NOTE: no events of TensorBoard: {tmp_path}/events" in done.stdout
    assert "GAP@20" in done.stdout
    done = run_script(
        "evaluate", *flags, f"--events_dir={tmp_path}/events", status=1
    )
    assert f"{tmp_path}/events" in done.stderr

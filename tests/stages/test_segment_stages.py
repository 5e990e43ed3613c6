"""Training, scoring and predicting on rated segments, end to end."""

import dataclasses
import json
import shutil
import types
from pathlib import Path

import numpy as np
import pytest
import stage_runs
from stage_runs import (
    error_line,
    predict_all,
    run_script,
    to_flags,
    train_in_process,
)
from stored_files import (
    assert_same_checkpoint,
    checkpoint_steps,
    read_log,
    write_records,
)

from distill.data.pipeline import VideoReader
from distill.datasets.synthetic import write_synthetic_data
from distill.deployment import scoring
from distill.deployment.scoring import evaluate
from distill.evaluation.evaluate import (
    Prediction,
    evaluate_checkpoint,
    predict_videos,
)
from distill.evaluation.inference import write_labels
from distill.evaluation.prediction_files.segment_files import (
    merge_segments,
    read_ratings,
)
from distill.evaluation.prediction_files.segment_scores import score_segments
from distill.evaluation.segment_inference import (
    TopSegments,
    read_class_list,
    write_segments,
    write_shared_segments,
)
from distill.evaluation.shared_reading import ALONE, SharedReading
from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.networks.ensemble_file import Ensemble, Member
from distill.networks.loading import load_network
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.synthetic import SyntheticSettings
from distill.settings.training import DistillationSettings, TrainingSettings
from tests.memory_growth import memory_grows_by_at_most
from tests.segment_records import SCHEMA, draw_rated_videos

CELLS = {"lstm_cells": 4, "lstm_layers": 1, "dropout": 0.2}
LAST = "checkpoint-00000010.h5"


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """Returns rated videos by split and the directory of their records."""
    path = tmp_path_factory.mktemp("rated")
    splits = {
        "train": draw_rated_videos(26, 1, "t"),
        "validate": draw_rated_videos(12, 2, "w"),
    }
    for split, videos in splits.items():
        messages = [video.message() for video in videos]
        write_records(path / f"{split}-0.tfrecord", messages[::2])
        write_records(path / f"{split}-1.tfrecord", messages[1::2])
    return types.SimpleNamespace(path=path, **splits)


def hierarchical(num_blocks, every_n):
    arguments = CELLS | {"num_inputs_to_lstm": num_blocks}
    name = "HierarchicalLstmModel"
    resolved = registry.resolve_arguments(name, arguments)
    return NetworkSettings(name, resolved, FrameBudget.every(every_n))


def joint_settings(rated):
    return RunSettings(
        data=SCHEMA,
        student=hierarchical(1, 2),
        training=TrainingSettings(
            f"{rated.path}/train-*.tfrecord",
            batch_size=13,
            num_epochs=2,
            base_learning_rate=0.05,
            shuffle_buffer_size=8,
        ),
        teacher=hierarchical(5, 1),
        distillation=DistillationSettings(),
    )


@pytest.fixture(scope="module")
def joint_run(rated, tmp_path_factory) -> Path:
    """Returns the directory of a joint run, every step's checkpoint kept."""
    directory = tmp_path_factory.mktemp("runs") / "joint"
    train_in_process(
        joint_settings(rated),
        directory,
        checkpoint_every_steps=1,
        keep_checkpoints=0,
        log_every_steps=1,
    )
    return directory


def make_reader(rated, batch_size=16, need_labels=True):
    files = sorted(map(str, rated.path.glob("validate-*.tfrecord")))
    return VideoReader(SCHEMA, files, batch_size, need_labels=need_labels)


def test_an_epoch_s_steps_see_every_rated_segment_once(rated, joint_run):
    segments = sum(len(video.rated_segments()) for video in rated.train)
    assert checkpoint_steps(joint_run) == list(range(1, 11))
    assert 4 * 13 < segments <= 5 * 13
    losses = [line["loss"] for line in read_log(joint_run)]
    assert len(losses) == 10
    assert np.isfinite(losses).all()


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 8])
def test_a_run_from_amid_an_epoch_ends_bit_for_bit_the_same(
    rated, joint_run, tmp_path, step
):
    shutil.copy(joint_run / f"checkpoint-{step:08d}.h5", tmp_path)
    train_in_process(joint_settings(rated), tmp_path)
    assert_same_checkpoint(tmp_path / LAST, joint_run / LAST)


def rated_predictions(rated, predict):
    """Returns ids, scores, labels and rated pairs of the validation split."""
    segments = [s for video in rated.validate for s in video.rated_segments()]
    scores = np.array([predict[segment["id"].decode()] for segment in segments])
    labels = np.array([segment["labels"] for segment in segments])
    return scores, labels, np.array([s["label_weights"] for s in segments])


def numpy_segment_map(scores, labels, rated):
    precisions = []
    for label in range(labels.shape[1]):
        rows = np.flatnonzero(rated[:, label])
        rows = rows[np.argsort(-scores[rows, label])]
        hits = labels[rows, label]
        if hits.any():
            at_rank = np.cumsum(hits) / np.arange(1, len(hits) + 1)
            precisions.append(at_rank[hits].mean())
    return np.mean(precisions)


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_evaluation_is_that_of_numpy_over_the_rated_pairs(
    rated, joint_run, role
):
    network = load_network(joint_run / LAST, role)
    ids, predictions = predict_all(network, make_reader(rated))
    predict = dict(zip(ids, predictions, strict=True))
    scores, labels, weights = rated_predictions(rated, predict)
    terms = -np.log(np.where(labels, scores, 1 - scores) + 1e-5)
    found = evaluate_checkpoint(joint_run / LAST, role, make_reader(rated, 7))
    assert found["segment_mean_average_precision"] == pytest.approx(
        numpy_segment_map(scores, labels, weights), abs=1e-6
    )
    loss = (weights * terms).sum(axis=1).mean()
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["num_segments"] == len(scores)
    assert found["num_rated"] == weights.sum()
    assert not {"num_videos", "hit_at_one", "perr"} & set(found)


def read_segments(path):
    """Returns the ids of every class, best first."""
    header, *lines = path.read_text().splitlines()
    assert header == "Class,Segments"
    rows = [line.split(",") for line in lines]
    return {int(label): ids.split() for label, ids in rows}


def test_the_file_of_all_segments_scores_as_the_evaluation(
    rated, joint_run, tmp_path
):
    network = load_network(joint_run / LAST, "student")
    reader = make_reader(rated, 16, need_labels=False)
    path = tmp_path / "made" / "segments.csv"
    top = TopSegments(range(6), 10_000)
    counts = list(write_segments(path, predict_videos(network, reader), top))
    expected = sorted(
        segment["id"].decode()
        for video in rated.validate
        for segment in video.all_segments()
    )
    assert counts[-1] == len(expected)
    rankings = read_segments(path)
    assert list(rankings) == list(range(6))
    assert all(sorted(ids) == expected for ids in rankings.values())
    scores = evaluate_checkpoint(
        joint_run / LAST, "student", make_reader(rated)
    )
    ranks = {
        name: [-rankings[label].index(name) for label in range(6)]
        for name in expected
    }
    found = numpy_segment_map(*rated_predictions(rated, ranks))
    assert found == pytest.approx(scores["segment_mean_average_precision"])


def make_batches(sizes, num_classes=4, seed=0):
    """Returns batches of scores with ties, and ids and scores of them all."""
    random = np.random.default_rng(seed)
    total = sum(sizes)
    scores = random.integers(0, 12, (total, num_classes)).astype(np.float32)
    ids = [f"v{index // 4}:{5 * (index % 4)}" for index in range(total)]
    nothing = np.zeros(scores.shape, bool)
    ends = np.cumsum(sizes)
    batches = [
        Prediction(ids[end - size : end], scores[end - size : end], nothing)
        for size, end in zip(sizes, ends, strict=True)
    ]
    return batches, ids, scores


@pytest.mark.parametrize("sizes", [[50], [7] * 7 + [1], [1] * 50])
@pytest.mark.parametrize("most", [1, 6, 50, 1000])
def test_the_best_segments_are_kept_whatever_the_batches(sizes, most, tmp_path):
    batches, ids, scores = make_batches(sizes)
    path = tmp_path / "segments.csv"
    top = TopSegments([3, 0], most)
    assert list(write_segments(path, batches, top))[-1] == 50
    expected = ["Class,Segments"]
    for label in (3, 0):
        order = sorted(range(50), key=lambda i: (-scores[i, label], ids[i]))
        names = " ".join(ids[index] for index in order[:most])
        expected.append(f"{label},{names}")
    assert path.read_text() == "\n".join(expected) + "\n"


@pytest.mark.parametrize("most", [1, 6, 1000])
def test_merged_shards_are_the_file_of_one_process(most, tmp_path):
    batches, _, _ = make_batches([7] * 7 + [1])
    # Scores that only nine digits tell apart.
    for batch in batches:
        batch.predictions[:] = 0.5 + batch.predictions * np.float32(6e-8)
    whole, merged = tmp_path / "whole.csv", tmp_path / "merged.csv"
    list(write_segments(whole, batches, TopSegments([0, 3], most)))
    parts = [tmp_path / f"part-{index}.csv" for index in range(3)]
    for index, part in enumerate(parts):
        top = TopSegments([0, 3], most)
        own = batches[::-1][index::3]
        list(write_segments(part, own, top, with_scores=True))
    assert merge_segments(parts, merged, most) == 2
    assert merged.read_text() == whole.read_text()


@pytest.mark.parametrize("by_batch", [True, False])
def test_two_workers_write_the_file_of_one(
    by_batch, rated, joint_run, tmp_path
):
    network = load_network(joint_run / LAST, "student")
    reader = make_reader(rated, 16, need_labels=False)
    paths = tmp_path / "one.csv", tmp_path / "two.csv"

    def write(path, sharing):
        top = TopSegments(range(6), 20)
        batches = predict_videos(network, reader, sharing)
        return list(write_shared_segments(path, batches, top, sharing))

    write(paths[0], ALONE)
    # The chief merges last, as the others wait for it.
    counts = []
    for rank in (1, 0):
        workers = types.SimpleNamespace(
            rank=rank,
            num_workers=2,
            num_replicas=1,
            is_chief=rank == 0,
            wait=lambda: None,
        )
        counts += write(paths[1], SharedReading(workers, by_batch))[-1:]
    total = sum(len(video.all_segments()) for video in rated.validate)
    assert sum(counts) == total
    assert min(counts) > 0
    assert paths[0].read_text() == paths[1].read_text()
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_no_more_is_held_than_the_cap_allows():
    def predict():
        random = np.random.default_rng(0)
        for batch in range(400):
            scores = random.random((50, 4), np.float32)
            ids = [f"v{batch}:{row}".ljust(2000, "x") for row in range(50)]
            yield Prediction(ids, scores, scores > 1)

    top = TopSegments(range(4), 10)
    with memory_grows_by_at_most(10e6):  # of 40 MB of ids
        for batch in predict():
            top.update(batch)


def test_bad_scores_and_a_cap_of_zero_are_errors():
    with pytest.raises(ValueError, match="segment_max_per_class must be 1 or"):
        TopSegments([0], 0)
    scores = np.full((1, 2), np.nan, np.float32)
    with pytest.raises(ValueError, match="not finite"):
        TopSegments([0], 1).update(Prediction(["a:0"], scores, scores > 1))


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """Returns the pattern of videos with rated segments."""
    path = tmp_path_factory.mktemp("synthetic")
    settings = SyntheticSettings(
        "validate",
        30,
        num_shards=2,
        feature_sizes=stage_runs.FEATURE_SIZES,
        num_classes=stage_runs.NUM_CLASSES,
        max_frames=stage_runs.MAX_FRAMES,
        min_frames=20,
        rated_segments=4,
    )
    list(write_synthetic_data(settings, path))
    return f"{path}/validate-*.tfrecord"


def test_a_network_of_whole_videos_ranks_segments_as_it_scores_them(
    synthetic, logistic_checkpoint, tmp_path
):
    """Of the classes with a positive: evaluation leaves others out."""
    schema = stage_runs.frame_schema().of_segments()
    scores = evaluate(str(logistic_checkpoint), synthetic, data=schema)
    files = {name: tmp_path / f"{name}.csv" for name in ("ratings", "segments")}
    rated = scoring.make_reader(logistic_checkpoint, synthetic, schema)
    assert list(write_labels(files["ratings"], rated))[-1] == 120
    ratings = read_ratings([files["ratings"]])
    classes = [label for label in ratings if any(ratings[label].values())]
    every = dataclasses.replace(rated, need_labels=False)
    network = scoring.load_scored_network(logistic_checkpoint, segments=True)
    top = TopSegments(sorted(classes), 1000)
    predicted = predict_videos(network, every)
    list(write_segments(files["segments"], predicted, top))
    found = score_segments([files["segments"]], [files["ratings"]])
    # Of every fourth frame of a segment the student sees two.
    assert scores["frames"] == 2
    assert scores["num_segments"] == 120
    assert found["num_rated"] == scores["num_rated"] > 120
    mean = found["segment_mean_average_precision"]
    assert 0.2 < mean < 1
    assert mean == pytest.approx(scores["segment_mean_average_precision"])


def test_an_ensemble_of_networks_of_whole_videos_scores_segments(
    synthetic, logistic_checkpoint, tmp_path
):
    schema = stage_runs.frame_schema().of_segments()
    ensemble, copy = tmp_path / "ensemble.json", tmp_path / "copy.h5"
    shutil.copy(logistic_checkpoint, copy)
    files = (logistic_checkpoint, copy)
    members = tuple(Member(str(file), "student", 0.5) for file in files)
    Ensemble(members).write(ensemble)
    alone, both = (
        evaluate(str(file), synthetic, data=schema)
        for file in (logistic_checkpoint, ensemble)
    )
    name = "segment_mean_average_precision"
    assert both[name] == pytest.approx(alone[name])
    assert both["frames"] == alone["frames"] == 2
    assert both["macs"] == 2 * alone["macs"]


@pytest.mark.parametrize("text", ["Index\n4\n1\n4\n", "1\n4\n", "1,a\n4,b\n\n"])
def test_a_list_of_classes_is_read_with_or_without_a_header(text, tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    assert read_class_list(path, 5) == [1, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Index\n1\n5\n", "line 3: '5' is not a class index from 0 to 4"),
        ("-1\n", "line 1: '-1' is not a class index"),
        ("Index\none\n", "line 2: 'one' is not a class index"),
        ("Index\n", "classes.csv has no class index"),
        ("", "classes.csv has no class index"),
    ],
)
def test_a_bad_list_of_classes_is_named_with_the_line(text, message, tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_class_list(path, 5)


@pytest.fixture(scope="module")
def script_run(rated, tmp_path_factory):
    """Returns the directory and output of a run that the script made."""
    directory = tmp_path_factory.mktemp("runs") / "script"
    weights = directory.with_name("weights.txt")
    weights.write_text("1\n2\n1\n0.5\n1\n1\n")
    flags = {
        "train_data_pattern": f"{rated.path}/train-*.tfrecord",
        "eval_data_pattern": f"{rated.path}/validate-*.tfrecord",
        "train_dir": directory,
        "feature_sizes": "3,2",
        "num_classes": 6,
        "segment_labels": "true",
        "class_weights_file": weights,
        "model": "FrameLevelLogisticModel",
        "regime": "labels",
        "num_epochs": 2,
        "batch_size": 32,
        "log_every_steps": 1,
        "gpu": -1,
    }
    done = run_script("train", *to_flags(flags))
    return types.SimpleNamespace(path=directory, weights=weights, done=done)


@pytest.mark.slow
def test_the_script_trains_on_segments_and_keeps_the_best(script_run):
    stored = json.loads((script_run.path / "settings.json").read_text())
    assert stored["data"]["segment_labels"] is True
    assert stored["data"]["max_frames"] == 5
    file = stored["training"]["class_weights_file"]
    assert file == str(script_run.weights)
    assert (script_run.path / "best.h5").exists()
    scores = [
        line["segment_mean_average_precision"]
        for line in read_log(script_run.path)
        if line["kind"] == "evaluation"
    ]
    assert len(scores) == 2
    assert all(0 < score <= 1 for score in scores)


@pytest.mark.slow
def test_the_script_scores_segments_without_being_told(
    rated, script_run, tmp_path
):
    done = run_script(
        "evaluate",
        f"--train_dir={script_run.path}",
        f"--eval_data_pattern={rated.path}/validate-*.tfrecord",
        f"--metrics_file={tmp_path}/metrics.json",
        "--gpu=-1",
    )
    scores = json.loads((tmp_path / "metrics.json").read_text())
    value = scores["segment_mean_average_precision"]
    assert f"{value:.4f}" in done.stdout
    assert "segment mAP" in done.stdout
    segments = sum(len(video.rated_segments()) for video in rated.validate)
    assert scores["num_segments"] == segments


@pytest.mark.slow
def test_the_script_writes_the_allowed_classes_segments(
    rated, script_run, tmp_path
):
    classes = tmp_path / "classes.csv"
    classes.write_text("Index\n4\n1\n")
    path = tmp_path / "segments.csv"
    done = run_script(
        "infer",
        f"--train_dir={script_run.path}",
        f"--input_data_pattern={rated.path}/validate-*.tfrecord",
        f"--output_file={path}",
        "--segment_labels",
        "--segment_max_per_class=9",
        f"--segment_label_ids_file={classes}",
        "--gpu=-1",
    )
    total = sum(len(video.all_segments()) for video in rated.validate)
    said = f"wrote the predictions of {total} segments to {path}"
    assert done.stdout.splitlines() == [said]
    rankings = read_segments(path)
    assert list(rankings) == [1, 4]
    assert all(len(set(ids)) == 9 for ids in rankings.values())


@pytest.mark.slow
def test_the_scripts_of_shards_write_the_file_of_one(
    rated, script_run, tmp_path
):
    flags = (
        f"--train_dir={script_run.path}",
        f"--input_data_pattern={rated.path}/validate-*.tfrecord",
        "--segment_labels",
        "--segment_tails=false",
        "--gpu=-1",
    )
    whole, merged = tmp_path / "whole.csv", tmp_path / "merged.csv"
    run_script("infer", *flags, f"--output_file={whole}")
    for index in range(2):
        part = tmp_path / f"part-{index}.csv"
        run_script(
            "infer", *flags, f"--shard={index},2", f"--output_file={part}"
        )
    done = run_script(
        "merge_segments",
        f"--predictions={tmp_path}/part-*.csv",
        f"--output_file={merged}",
    )
    said = f"the best segments of 6 classes, of 2 files, to {merged}"
    assert done.stdout.splitlines() == [f"wrote {said}"]
    assert merged.read_text() == whole.read_text()
    ratings = tmp_path / "ratings.csv"
    layout = ("--feature_sizes=3,2", "--num_classes=6", "--segment_labels")
    data = f"--input_data_pattern={rated.path}/validate-*.tfrecord"
    run_script("write_labels", data, *layout, f"--output_file={ratings}")
    done = run_script(
        "score_predictions", f"--predictions={merged}", f"--labels={ratings}"
    )
    assert "segment mAP" in done.stdout


def test_whole_videos_are_no_input_of_a_network_of_segments(rated, script_run):
    done = run_script(
        "evaluate",
        f"--train_dir={script_run.path}",
        f"--eval_data_pattern={rated.path}/validate-*.tfrecord",
        "--nosegment_labels",
        "--gpu=-1",
        status=1,
    )
    assert "--segment_labels: the checkpoint was trained with True" in (
        error_line(done)
    )

"""The CSV holds every video once, and scores as the evaluation does."""

from pathlib import Path

import numpy as np
import plain_metrics
import pytest
import tensorflow as tf
from stage_runs import (
    NUM_CLASSES,
    NUM_VALIDATE_VIDEOS,
    error_line,
    frame_schema,
    run_script,
)
from stored_files import read_records, true_labels, write_records

from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import (
    Prediction,
    evaluate_checkpoint,
    predict_videos,
)
from distill.evaluation.inference import write_predictions
from distill.networks.loading import load_network


def make_reader(pattern: str, batch_size: int = 16) -> VideoReader:
    """Returns a reader that does not ask for labels."""
    return VideoReader(
        frame_schema(), find_files(pattern), batch_size, need_labels=False
    )


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
    done = run_script(
        "infer",
        f"--checkpoint={joint_checkpoint}",
        f"--input_data_pattern={videos}/validate-*.tfrecord",
        f"--output_file={path}",
        f"--top_k={NUM_CLASSES}",
        "--batch_size=16",
        "--gpu=-1",
    )
    said = f"wrote the predictions of {NUM_VALIDATE_VIDEOS} videos to {path}"
    assert done.stdout.splitlines() == [said]
    assert done.stderr == ""
    return path


def test_every_video_is_written_exactly_once(videos, csv_file):
    expected = sorted(true_labels(videos))
    assert len(expected) == NUM_VALIDATE_VIDEOS
    assert sorted(video_id for video_id, _ in read_csv(csv_file)) == expected


def test_scores_have_six_decimals_and_come_best_first(csv_file):
    for _, pairs in read_csv(csv_file):
        assert sorted(int(label) for label, _ in pairs) == list(range(10))
        scores = [score for _, score in pairs]
        assert all(len(score) == 8 and score[1] == "." for score in scores)
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("top_k", [1, 4, 10, 20])
def test_metrics_of_the_csv_equal_the_evaluation(
    videos, joint_checkpoint, csv_file, top_k
):
    rankings = {
        video_id: [(int(label), float(score)) for label, score in pairs]
        for video_id, pairs in read_csv(csv_file)
    }
    expected = plain_metrics.score_videos(rankings, true_labels(videos), top_k)
    scores = evaluate_checkpoint(
        joint_checkpoint,
        "student",
        make_reader(f"{videos}/validate-*.tfrecord"),
        top_k=top_k,
    )
    assert scores["num_videos"] == NUM_VALIDATE_VIDEOS
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-5), name


def test_flags_that_were_given_lie_beside_the_csv(
    joint_checkpoint, videos, csv_file
):
    lines = Path(f"{csv_file}.flags").read_text().splitlines()
    assert lines == sorted(
        [
            f"--checkpoint={joint_checkpoint}",
            f"--input_data_pattern={videos}/validate-*.tfrecord",
            f"--output_file={csv_file}",
            f"--top_k={NUM_CLASSES}",
            "--batch_size=16",
            "--gpu=-1",
        ]
    )


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
    reader = make_reader(f"{tmp_path}/validate-*.tfrecord")
    path = tmp_path / "predictions.csv"
    for _ in write_predictions(path, predict_videos(network, reader), 10):
        pass
    assert path.read_bytes() == csv_file.read_bytes()


def test_batch_size_changes_no_prediction(videos, joint_checkpoint):
    network = load_network(joint_checkpoint, "teacher")
    predictions = []
    for batch_size in (1, 7, 64):
        reader = make_reader(f"{videos}/validate-*.tfrecord", batch_size)
        batches = list(predict_videos(network, reader))
        assert len(batches) == -(-NUM_VALIDATE_VIDEOS // batch_size)
        predictions.append(np.concatenate([b.predictions for b in batches]))
    assert np.abs(predictions[0] - predictions[1]).max() < 1e-6
    assert np.abs(predictions[0] - predictions[2]).max() < 1e-6


def test_failure_leaves_no_half_written_csv(tmp_path):
    def fail_after_one():
        scores = np.full((1, 10), 0.5, np.float32)
        yield Prediction(["video0"], scores, scores > 1)
        raise ValueError("The next record is bad.")

    path = tmp_path / "predictions.csv"
    with pytest.raises(ValueError, match="record is bad"):
        list(write_predictions(path, fail_after_one(), 3))
    assert list(tmp_path.iterdir()) == []


def test_one_csv_for_two_networks_is_refused(joint_checkpoint, tmp_path):
    done = run_script(
        "infer",
        f"--checkpoint={joint_checkpoint}",
        "--role=both",
        f"--output_file={tmp_path}/predictions.csv",
        status=1,
    )
    assert "--role=both" in error_line(done)

"""Predictions that workers write are those of one process, byte for byte."""

import dataclasses
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import pytest
import stage_runs
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.deployment.inference_tasks import infer_by, infer_files_by
from distill.evaluation.evaluate import predict_videos
from distill.evaluation.inference import InferenceFiles, write_predictions
from distill.evaluation.video_inference import VideoInference
from distill.models.frame_budget import ALL_FRAMES
from distill.settings.video import BadVideoError
from tests.task_runner import files_of, run_backwards

TOP_K = 4
OPTIONS = {"sources": {"network": 1}, "top_k": TOP_K}


class BatchNetwork:
    """Its predictions depend on all videos of a batch, and their order."""

    budget = ALL_FRAMES

    def compiled_predict(self, inputs):
        frames = tf.cast(inputs["frames"], tf.float32)
        sums = tf.cumsum(tf.reduce_mean(frames, axis=[1, 2]))
        classes = tf.range(stage_runs.NUM_CLASSES, dtype=tf.float32)
        return tf.sigmoid(tf.sin(sums[:, None] * (classes + 1)))


def write_alone(path, reader):
    batches = predict_videos(BatchNetwork(), reader)
    list(write_predictions(path, batches, TOP_K))
    return path.read_bytes()


@pytest.mark.parametrize(("batch_size", "num_tasks"), [(16, 2), (13, 99)])
def test_records_are_predicted_in_the_same_batches(
    batch_size, num_tasks, videos, tmp_path
):
    reader = stage_runs.validation_reader(videos, batch_size=batch_size)
    expected = write_alone(tmp_path / "one.csv", reader)
    done = []

    def run_first(make_work, tasks):
        done.append(len(tasks))
        run_backwards(make_work, tasks[:1] if len(done) == 2 else tasks)

    arguments = (BatchNetwork, reader, tmp_path / "many.csv")
    with pytest.raises(ValueError, match="was not written: repeat"):
        infer_by(run_first, *arguments, **OPTIONS, num_tasks=num_tasks)
    assert not (tmp_path / "many.csv").exists()
    count = infer_by(run_first, *arguments, **OPTIONS, num_tasks=num_tasks)
    assert count == stage_runs.NUM_VALIDATE_VIDEOS
    assert (tmp_path / "many.csv").read_bytes() == expected
    parts = min(num_tasks, -(-count // batch_size))
    # The files were counted and a part was written before.
    assert done == [3, parts, 0, parts - 1]
    assert not list(tmp_path.glob(".*"))


def test_a_file_is_predicted_for_each_input(videos, tmp_path):
    reader = stage_runs.validation_reader(videos)
    one, many = (
        InferenceFiles(tmp_path / name, {"a": 1}, TOP_K)
        for name in ("one", "many")
    )
    assert len(list(one.write(BatchNetwork(), reader))) == 3
    for word in ("wrote", "kept"):
        lines = infer_files_by(run_backwards, BatchNetwork, reader, many)
        assert [line.split()[0] for line in lines] == 3 * [word]
    assert files_of(tmp_path / "many") == files_of(tmp_path / "one")


def test_what_workers_cannot_predict_is_refused(videos, tmp_path):
    reader = stage_runs.validation_reader(videos, on_bad_record="skip")
    arguments = (run_backwards, BatchNetwork, reader, tmp_path / "a.csv")
    with pytest.raises(ValueError, match="it needs on_bad_record=fail"):
        infer_by(*arguments, **OPTIONS, num_tasks=2)
    damaged = tmp_path / "damaged.tfrecord"
    file = reader.files[0]
    with open(file, "rb") as opened:
        damaged.write_bytes(opened.read()[:-9])
    empty = tmp_path / "empty.tfrecord"
    empty.touch()
    for path, words in ((damaged, "truncated"), (empty, "No record in")):
        other = dataclasses.replace(
            reader, files=[str(path)], on_bad_record="fail"
        )
        with pytest.raises(BadRecordError, match=words):
            infer_by(
                run_backwards,
                BatchNetwork,
                other,
                tmp_path / "a.csv",
                **OPTIONS,
                num_tasks=2,
            )


class Entry(NamedTuple):
    """A video file."""

    id: str
    path: str


class LengthPredictor:
    """Predicts a video by the length of its path; `bad` ones are bad."""

    def of(self, paths):
        for path in paths:
            future = Future()
            if "bad" in path:
                future.set_exception(BadVideoError(f"{path}: no video."))
            else:
                future.set_result(np.full([len(path)], 0.1))
            yield path, future

    def check(self, video):
        return video

    def probabilities(self, videos):
        return np.sin(np.arange(9) * len(videos[0]))[None] ** 2

    def __exit__(self, *_):
        """Ends nothing."""


def load_predictor():
    return 2 * (LengthPredictor(),)


@pytest.mark.parametrize("num_tasks", [1, 3, 50])
def test_video_files_are_predicted_in_their_order(num_tasks, tmp_path):
    names = [f"{'x' * (k % 5)}{k}{'bad' * (k % 4 == 2)}" for k in range(11)]
    entries = [Entry(name, f"/videos/{name}.mp4") for name in names]
    inference = VideoInference(load_predictor, "skip", TOP_K)
    one, many = [], []
    list(inference.write(tmp_path / "one.csv", entries, one.append))
    count = inference.write_by(
        run_backwards,
        tmp_path / "many.csv",
        entries,
        many.append,
        sources={},
        num_tasks=num_tasks,
    )
    assert count == sum("bad" not in name for name in names)
    assert many == one
    assert len(one) == len(names) - count
    expected = (tmp_path / "one.csv").read_bytes()
    assert (tmp_path / "many.csv").read_bytes() == expected
    stopping = dataclasses.replace(inference, on_bad_video="stop")
    with pytest.raises(BadVideoError, match=r"bad\.mp4: no video"):
        stopping.write_by(
            run_backwards,
            tmp_path / "no.csv",
            entries,
            many.append,
            sources={},
            num_tasks=num_tasks,
        )
    assert not (tmp_path / "no.csv").exists()

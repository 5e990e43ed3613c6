"""Histograms of weights and gradients against the checkpoints of a run."""

import dataclasses

import numpy as np
import pytest
import stage_runs
from stored_files import assert_same_checkpoint, read_datasets, read_events

from distill.reporting.event_files import EventFiles

RATE = 0.25
WEIGHTS = ("classifier/kernel", "classifier/bias")


def read_histograms(directory):
    folder = directory / "events" / "train"
    return read_events(folder, "histograms", others=("scalars",))


def check_histogram(buckets, values, close=0.0):
    """Compares the buckets of a histogram with the values, all counted."""
    left, right, counts = buckets.T
    np.testing.assert_array_equal(left[1:], right[:-1])
    assert left[0] == pytest.approx(values.min(), abs=close)
    assert right[-1] == pytest.approx(values.max(), abs=close)
    assert counts.sum() == values.size
    if not close:
        below = (values.ravel()[:, None] < left[1:]).sum(axis=0)
        np.testing.assert_array_equal(np.cumsum(counts)[:-1], below)


@pytest.mark.parametrize("accumulate_steps", [1, 3])
def test_histograms_are_of_the_weights_and_gradients_of_a_step(
    accumulate_steps, video_level_videos, tmp_path
):
    settings = stage_runs.video_level_settings(
        video_level_videos,
        num_epochs=1,
        optimizer="SGD",
        base_learning_rate=RATE,
        learning_rate_schedule="constant",
        clip_gradient_norm=0.0,
        accumulate_steps=accumulate_steps,
    )
    stage_runs.train_in_process(
        settings,
        tmp_path,
        histogram_every_steps=2,
        checkpoint_every_steps=1,
        keep_checkpoints=0,
    )
    found = read_histograms(tmp_path)
    names = [f"student/{name}" for name in WEIGHTS]
    assert found.keys() == {
        (f"{kind}/{name}", step)
        for kind in ("weights", "gradients")
        for name in names
        for step in (2, 4)
    }
    for step in (2, 4):
        before, after = (
            read_datasets(tmp_path / f"checkpoint-{each:08d}.h5")
            for each in (step - 1, step)
        )
        for name in names:
            check_histogram(found[f"weights/{name}", step], after[name])
            gradient = (before[name] - after[name]) / RATE
            check_histogram(found[f"gradients/{name}", step], gradient, 1e-6)


def test_histograms_change_no_weight(videos, tmp_path):
    settings = stage_runs.pooled_settings(videos, num_epochs=1)
    training = dataclasses.replace(settings.training, accumulate_steps=2)
    settings = dataclasses.replace(settings, training=training)
    for name, every_steps in (("plain", 0), ("drawn", 2)):
        stage_runs.train_in_process(
            settings, tmp_path / name, histogram_every_steps=every_steps
        )
    name = "checkpoint-00000005.h5"
    assert_same_checkpoint(tmp_path / "drawn" / name, tmp_path / "plain" / name)
    tags = {tag for tag, _ in read_histograms(tmp_path / "drawn")}
    assert {tag.split("/")[1] for tag in tags} >= {"teacher", "student"}
    assert {tag.split("/")[0] for tag in tags} == {"weights", "gradients"}


def test_values_that_are_not_finite_are_left_out(tmp_path):
    events = EventFiles(tmp_path, ["train"])
    arrays = {
        "some": np.array([1.0, np.nan, 3.0, np.inf], np.float32),
        "none": np.array([np.nan], np.float32),
        "one": np.array([[2.0]], np.float32),
        "empty": np.zeros([0, 3], np.float32),
    }
    events.write_histograms("train", 7, arrays)
    events.close()
    found = read_events(tmp_path / "train", "histograms")
    assert found.keys() == {("some", 7), ("one", 7)}
    check_histogram(found["some", 7], np.array([1.0, 3.0]))
    left, right, counts = found["one", 7].T
    assert (left[0] < 2 < right[-1], counts.sum()) == (True, 1)

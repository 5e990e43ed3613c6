"""Checkpoints come when they are asked for, and old ones go."""

import types

import pytest
from stage_runs import train_in_process, video_level_settings
from stored_files import assert_same_checkpoint, checkpoint_steps

from distill.checkpoints import checkpoint as checkpoints
from distill.settings.run_options import RunOptions
from distill.training import loop, run_state


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, [5, 10]),
        ({"checkpoint_every_steps": 3}, [6, 9, 10]),
        (
            {"checkpoint_every_steps": 3, "keep_checkpoints": 0},
            [3, 5, 6, 9, 10],
        ),
        ({"checkpoint_every_steps": 3, "keep_checkpoints": 2}, [9, 10]),
        ({"keep_checkpoints": 1}, [10]),
    ],
)
def test_checkpoints_come_by_epoch_and_by_steps_and_the_newest_are_kept(
    video_level_videos, tmp_path, options, steps
):
    settings = video_level_settings(video_level_videos, num_epochs=2)
    train_in_process(settings, tmp_path, **options)
    assert checkpoint_steps(tmp_path) == steps


def test_checkpoints_come_by_minutes_since_the_last_one(
    video_level_videos, tmp_path, monkeypatch
):
    clock = {"seconds": 0.0}
    make_step = loop.TrainingRun._train_step

    def make_slow_step(run, *arguments):
        clock["seconds"] += 20
        make_step(run, *arguments)

    fake_time = types.SimpleNamespace(monotonic=lambda: clock["seconds"])
    monkeypatch.setattr(run_state, "time", fake_time)
    monkeypatch.setattr(loop.TrainingRun, "_train_step", make_slow_step)
    settings = video_level_settings(video_level_videos, num_epochs=2)
    train_in_process(
        settings, tmp_path, checkpoint_every_minutes=1.0, keep_checkpoints=0
    )
    assert checkpoint_steps(tmp_path) == [3, 5, 8, 10]


def test_failed_save_removes_no_older_checkpoint(
    video_level_videos, tmp_path, monkeypatch
):
    settings = video_level_settings(video_level_videos, num_epochs=1)
    train_in_process(settings, tmp_path, keep_checkpoints=1)
    old = (tmp_path / "checkpoint-00000005.h5").read_bytes()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_attributes", fail)
    settings = video_level_settings(video_level_videos, num_epochs=2)
    with pytest.raises(OSError, match="No space left"):
        train_in_process(settings, tmp_path, keep_checkpoints=1)
    assert checkpoint_steps(tmp_path) == [5]
    assert (tmp_path / "checkpoint-00000005.h5").read_bytes() == old
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("keep_checkpoints", -1),
        ("checkpoint_every_steps", -1),
        ("checkpoint_every_minutes", -0.5),
        ("log_every_steps", 0),
    ],
)
def test_options_out_of_range_are_named(tmp_path, option, value):
    with pytest.raises(ValueError, match=f"{option} must be .*{value}"):
        RunOptions(str(tmp_path), **{option: value})


def test_epochs_without_checkpoints_end_in_the_same_one(
    video_level_videos, video_level_run, tmp_path
):
    settings = video_level_settings(video_level_videos)
    train_in_process(settings, tmp_path, checkpoint_every_epoch=False)
    assert checkpoint_steps(tmp_path) == [15]
    last = "checkpoint-00000015.h5"
    assert_same_checkpoint(tmp_path / last, video_level_run / last)

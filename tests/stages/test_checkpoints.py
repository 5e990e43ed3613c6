"""Checkpoints are whole, have stable names, and are found by step."""

import dataclasses
import json
import os
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from stage_runs import joint_settings, video_level_settings
from stored_files import read_datasets

from distill.checkpoints.checkpoint import (
    CheckpointError,
    choose_checkpoint,
    follow,
    list_checkpoints,
    load_variables,
    open_checkpoint,
    read_settings,
    require_checkpoints,
    write_checkpoint,
)
from distill.system.atomic_files import replace_atomically

# By hand: 16 features, 6 cells in one layer, 10 classes of 2 experts. An LSTM
# has four gates and a state of two vectors; a class has a third, dummy gate.
NETWORK_SHAPES = {
    "input_norm/gamma": (16,),
    "input_norm/beta": (16,),
    "input_norm/moving_mean": (16,),
    "input_norm/moving_variance": (16,),
    "lower/lstm_0/kernel": (16, 24),
    "lower/lstm_0/recurrent_kernel": (6, 24),
    "lower/lstm_0/bias": (24,),
    "upper/lstm_0/kernel": (12, 24),
    "upper/lstm_0/recurrent_kernel": (6, 24),
    "upper/lstm_0/bias": (24,),
    "classifier/gates_kernel": (12, 30),
    "classifier/experts_kernel": (12, 20),
    "classifier/experts_bias": (20,),
}


@pytest.mark.parametrize("group", ["teacher", "student"])
def test_networks_are_stored_by_the_paths_of_their_weights(
    joint_checkpoint, group
):
    datasets = read_datasets(joint_checkpoint, group)
    shapes = {name: values.shape for name, values in datasets.items()}
    assert shapes == NETWORK_SHAPES


def test_joint_checkpoint_holds_all_that_resuming_needs(joint_checkpoint):
    with h5py.File(joint_checkpoint) as file:
        groups = {"teacher", "student", "optimizer", "random_state"}
        assert set(file) == groups
        assert file["optimizer/iteration"][()] == 15
        # Two moments of each weight; batch statistics have none.
        num_trained = 2 * (len(NETWORK_SHAPES) - 2)
        assert len(file["optimizer"]) == 2 + 2 * num_trained
        assert set(file["random_state"]) == {"teacher", "student"}


def test_random_state_advances_with_training(joint_run):
    first, second = (
        read_datasets(joint_run / f"checkpoint-0000000{step}.h5")
        for step in (1, 2)
    )
    states = [name for name in first if name.startswith("random_state/")]
    moved = [n for n in states if not np.array_equal(first[n], second[n])]
    assert {name.split("/")[1] for name in moved} == {"teacher", "student"}


def test_checkpoint_and_directory_carry_the_settings(videos, joint_run):
    fields = dataclasses.asdict(joint_settings(videos))
    expected = json.loads(json.dumps(fields))
    checkpoint = joint_run / "checkpoint-00000015.h5"
    with h5py.File(checkpoint) as file:
        assert json.loads(file.attrs["settings"]) == expected
    assert json.loads((joint_run / "settings.json").read_text()) == expected
    assert read_settings(checkpoint) == joint_settings(videos)


def test_file_is_synced_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        calls.append(("sync", Path(name).name))
        fsync(descriptor)

    def record_replace(source, target):
        calls.append(("rename", Path(source).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    with replace_atomically(tmp_path / "file.txt") as temporary:
        temporary.write_text("new")
    assert calls == [
        ("sync", temporary.name),
        ("rename", temporary.name),
        ("sync", tmp_path.name),
    ]
    assert (tmp_path / "file.txt").read_text() == "new"


def test_a_partial_file_is_refused(joint_checkpoint, tmp_path):
    path, whole = tmp_path / "c.h5", joint_checkpoint.read_bytes()
    for end in (len(whole) // 2, -1):
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match=f"{path}.*no whole HDF5 fi"):
            open_checkpoint(path)


@pytest.mark.parametrize(
    ("group", "names", "message"),
    [
        ("student", ("kernel", "other"), "holds no student/other"),
        ("student", ("kernel", "wide"), r"wide has the shape \(3,\).*\(2,\)"),
        ("teacher", ("kernel",), r"holds no teacher; it holds \['student'\]"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(
    video_level_videos, tmp_path, group, names, message
):
    path = tmp_path / "checkpoint.h5"
    stored = {
        "kernel": keras.Variable([1.0, 2.0]),
        "wide": keras.Variable([1.0, 2.0, 3.0]),
    }
    settings = video_level_settings(video_level_videos)
    write_checkpoint(path, {"student": stored}, settings, {"step": 1})
    variables = {name: keras.Variable([7.0, 8.0]) for name in names}
    with pytest.raises(CheckpointError, match=message):
        load_variables(path, group, variables)
    for variable in variables.values():
        np.testing.assert_array_equal(np.asarray(variable), [7.0, 8.0])


def test_checkpoints_are_listed_by_step_and_nothing_else_is(tmp_path):
    names = [f"checkpoint-{step:08d}.h5" for step in (10**8, 10, 9)]
    others = [
        ".checkpoint-00000011.h5.4711.tmp",
        "checkpoint-00000011.h5.tmp",
        "checkpoint-00000011.h5.bak",
        "checkpoint-12.h5",
        "my-checkpoint-00000011.h5",
        "best.h5",
        "log.jsonl",
    ]
    for name in names + others:
        (tmp_path / name).touch()
    listed = [path.name for path in list_checkpoints(tmp_path)]
    assert listed == names[::-1]
    assert require_checkpoints(tmp_path)[-1].name == names[0]
    assert choose_checkpoint(None, str(tmp_path)).name == names[0]
    assert choose_checkpoint("mine.h5", str(tmp_path)) == "mine.h5"


def test_directory_without_checkpoints_is_named(tmp_path):
    assert list_checkpoints(tmp_path / "missing") == []
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CheckpointError, match=str(directory)):
            require_checkpoints(directory)[-1]
    with pytest.raises(CheckpointError, match="--checkpoint or --train_dir"):
        choose_checkpoint(None, None)


def test_following_skips_to_the_newest_checkpoint(tmp_path):
    followed = follow(tmp_path, poll_seconds=0.0)
    seen = []
    for steps in ([2, 4], [6], [8, 10]):
        for step in steps:
            (tmp_path / f"checkpoint-{step:08d}.h5").touch()
        seen.append(next(followed).name)
    assert seen == [f"checkpoint-{step:08d}.h5" for step in (4, 6, 10)]


@pytest.mark.parametrize("failing", ["body", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, failing):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    def write():
        with replace_atomically(path) as temporary:
            temporary.write_text("new")
            if failing == "body":
                fail()

    path = tmp_path / "file.txt"
    path.write_text("old")
    if failing != "body":
        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_settings_that_are_too_long_for_a_checkpoint_are_an_error(
    video_level_videos, tmp_path
):
    settings = video_level_settings(
        video_level_videos, class_weights_file="x" * 64_000
    )
    message = "The settings take 6.,... bytes, a checkpoint holds at most 64,0"
    with pytest.raises(ValueError, match=message):
        write_checkpoint(tmp_path / "c.h5", {}, settings, {"step": 1})
    assert os.listdir(tmp_path) == []

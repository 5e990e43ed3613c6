"""Going on with other settings, with nothing left to do, and starting over."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from stage_runs import (
    student_settings,
    train_in_process,
    video_level_settings,
)
from stored_files import assert_same_checkpoint, checkpoint_steps

from distill.settings.run_options import RunOptions
from distill.training.loop import TrainingRun


@pytest.fixture(scope="module")
def fast_run(video_level_videos, tmp_path_factory) -> Path:
    """Returns the directory of a run of two epochs without frames."""
    directory = tmp_path_factory.mktemp("fast")
    train_in_process(
        video_level_settings(video_level_videos, num_epochs=2), directory
    )
    return directory


@pytest.fixture
def fast_run_copy(fast_run, tmp_path) -> Path:
    """Returns a copy of that directory to change."""
    return shutil.copytree(fast_run, tmp_path / "run")


def test_changed_settings_are_named(video_level_videos, fast_run_copy, capsys):
    settings = video_level_settings(
        video_level_videos, num_epochs=3, base_learning_rate=0.5
    )
    train_in_process(settings, fast_run_copy)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"going on from {fast_run_copy}/checkpoint-00000010.h5: step 10, "
        "2 epochs done",
        "setting changed since then: training.base_learning_rate: 0.02 -> 0.5",
        "setting changed since then: training.num_epochs: 2 -> 3",
    ]
    written = json.loads((fast_run_copy / "settings.json").read_text())
    assert written["training"]["base_learning_rate"] == 0.5


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("student", {"arguments": {"logistic_l2": 0.25}}, "l2: 1e-06 -> 0.25"),
        (
            "student",
            {"model": "MoeModel", "arguments": {}},
            "Model -> MoeModel",
        ),
        ("data", {"num_classes": 12}, "data.num_classes: 10 -> 12"),
        ("training", {"optimizer": "SGD"}, "training.optimizer: Adam -> SGD"),
    ],
)
def test_changed_architecture_is_refused(
    video_level_videos, fast_run_copy, section, changes, message
):
    settings = video_level_settings(video_level_videos, num_epochs=3)
    changed = dataclasses.replace(getattr(settings, section), **changes)
    settings = dataclasses.replace(settings, **{section: changed})
    before = snapshot(fast_run_copy)
    with pytest.raises(ValueError, match="with other settings") as error:
        TrainingRun(settings, RunOptions(str(fast_run_copy)))
    assert message in str(error.value)
    assert "checkpoint-00000010.h5" in str(error.value)
    assert "--start_new_model" in str(error.value)
    assert snapshot(fast_run_copy) == before


def test_joint_run_does_not_go_on_without_its_teacher(videos, joint_run):
    before = snapshot(joint_run)
    with pytest.raises(ValueError, match=r"teacher\.model: .* -> None"):
        TrainingRun(student_settings(videos), RunOptions(str(joint_run)))
    assert snapshot(joint_run) == before


def test_finished_run_says_that_nothing_is_left_to_do(
    video_level_videos, fast_run_copy, capsys
):
    before = snapshot(fast_run_copy)
    settings = video_level_settings(video_level_videos, num_epochs=2)
    train_in_process(settings, fast_run_copy)
    assert "nothing to do: step 10 is the last" in capsys.readouterr().out
    assert snapshot(fast_run_copy) == before


def test_start_new_model_names_what_it_removes_and_starts_over(
    video_level_videos, fast_run, fast_run_copy, capsys
):
    (fast_run_copy / "best.h5").write_bytes(b"best")
    (fast_run_copy / "notes.txt").write_text("mine")
    settings = video_level_settings(video_level_videos, num_epochs=1)
    train_in_process(settings, fast_run_copy, start_new_model=True)
    first = capsys.readouterr().out.splitlines()[0]
    start, removed = first.split("; removed ")
    assert start == f"starting over in {fast_run_copy}"
    assert sorted(removed.split(", ")) == [
        "best.h5",
        "checkpoint-00000005.h5",
        "checkpoint-00000010.h5",
        "events",
        "log.jsonl",
        "settings.json",
    ]
    assert (fast_run_copy / "notes.txt").read_text() == "mine"
    assert checkpoint_steps(fast_run_copy) == [5]
    name = "checkpoint-00000005.h5"
    assert_same_checkpoint(fast_run_copy / name, fast_run / name)


def snapshot(directory: Path) -> dict[str, bytes]:
    """Returns the bytes of a directory's files, TensorBoard's left out."""
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.is_file()
    }

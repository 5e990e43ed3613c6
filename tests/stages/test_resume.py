"""A run that stops and resumes ends as one that does not stop.

All datasets of the last checkpoints are compared, bit for bit.
"""

import json
import os
import shutil
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import stage_runs
from stage_runs import (
    call_at_step,
    joint_settings,
    start_script,
    student_settings,
    train_in_process,
)
from stored_files import (
    assert_same_checkpoint,
    assert_same_datasets,
    checkpoint_steps,
    read_datasets,
    read_log,
)

from distill.settings.run_options import RunOptions
from distill.training.loop import TrainingRun
from tests.hang_guard import HANG_SECONDS, wait_until

LAST = "checkpoint-00000015.h5"


@pytest.fixture(scope="module")
def straight_runs(joint_run, student_run) -> dict[str, Path]:
    """Returns the directories of uninterrupted runs, by regime."""
    return {"joint": joint_run, "student": student_run}


SETTINGS = {"joint": joint_settings, "student": student_settings}


@pytest.mark.parametrize(("regime", "step"), [("joint", 12), ("student", 10)])
def test_run_from_a_checkpoint_ends_as_the_run_that_wrote_it(
    videos, straight_runs, tmp_path, regime, step
):
    """Amid an epoch and at its end."""
    name = f"checkpoint-{step:08d}.h5"
    shutil.copy(straight_runs[regime] / name, tmp_path)
    train_in_process(SETTINGS[regime](videos), tmp_path)
    assert_same_checkpoint(tmp_path / LAST, straight_runs[regime] / LAST)


@pytest.mark.slow
def test_run_that_raised_goes_on_from_its_last_checkpoint(
    videos, student_run, tmp_path, monkeypatch
):
    settings = student_settings(videos)
    options = RunOptions(str(tmp_path), checkpoint_every_steps=3)
    run = TrainingRun(settings, options)

    def fail():
        raise RuntimeError("The power is off.")

    call_at_step(monkeypatch, run, 7, fail)
    with pytest.raises(RuntimeError, match="power is off"):
        run.train()
    assert checkpoint_steps(tmp_path) == [3, 5, 6]

    train_in_process(settings, tmp_path)
    assert_same_checkpoint(tmp_path / LAST, student_run / LAST)


@pytest.mark.parametrize("max_steps", [5, 7])
def test_run_that_max_steps_ended_goes_on(
    video_level_videos, video_level_run, tmp_path, max_steps
):
    settings = stage_runs.video_level_settings(
        video_level_videos, max_steps=max_steps
    )
    train_in_process(settings, tmp_path)
    assert checkpoint_steps(tmp_path)[-1] == max_steps
    settings = stage_runs.video_level_settings(video_level_videos)
    train_in_process(settings, tmp_path)
    assert_same_checkpoint(tmp_path / LAST, video_level_run / LAST)


def test_cosine_goes_on_within_an_epoch_and_is_exact_at_its_ends(
    video_level_videos, tmp_path, monkeypatch
):
    settings = stage_runs.video_level_settings(
        video_level_videos,
        num_epochs=2,
        learning_rate_schedule="cosine",
        warmup_examples=40,
    )
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    train_in_process(settings, straight, log_every_steps=1)
    rates = [line["learning_rate"] for line in read_log(straight)]
    assert rates[0] == 0
    assert rates[5] == pytest.approx(0.02 * (1 + np.cos(np.pi / 2)) / 2)
    # The warm-up is over after 40 of the 72 videos.
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0 < rates[9] < 0.02 * 0.04
    run = TrainingRun(settings, RunOptions(str(stopped)))
    call_at_step(
        monkeypatch, run, 7, lambda: os.kill(os.getpid(), signal.SIGINT)
    )
    assert run.train() is False
    train_in_process(settings, stopped)
    last = "checkpoint-00000010.h5"
    assert_same_checkpoint(stopped / last, straight / last)


def test_a_schedule_ends_at_max_steps(video_level_videos, tmp_path):
    settings = stage_runs.video_level_settings(
        video_level_videos, max_steps=2, learning_rate_schedule="linear"
    )
    train_in_process(settings, tmp_path, log_every_steps=1)
    rates = [line["learning_rate"] for line in read_log(tmp_path)]
    assert rates == pytest.approx([0.02, 0.01])


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_the_step_and_the_run_goes_on(
    video_level_videos, video_level_run, tmp_path, monkeypatch, capsys, kind
):
    settings = stage_runs.video_level_settings(video_level_videos)
    run = TrainingRun(settings, RunOptions(str(tmp_path)))
    call_at_step(monkeypatch, run, 6, lambda: os.kill(os.getpid(), kind))
    handler = signal.getsignal(kind)
    assert run.train() is False
    assert signal.getsignal(kind) == handler
    assert f"stopped by {kind.name} after step 7" in capsys.readouterr().out
    assert checkpoint_steps(tmp_path) == [5, 7]

    train_in_process(settings, tmp_path)
    assert_same_checkpoint(tmp_path / LAST, video_level_run / LAST)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_signalled_script_exits_with_status_1(
    video_level_videos, tmp_path, kind
):
    flags = [
        *stage_runs.video_level_flags(video_level_videos),
        "--model=LogisticModel",
        "--regime=labels",
        "--num_epochs=100000",
        "--log_every_steps=1",
        f"--train_dir={tmp_path}",
    ]
    log = tmp_path / "log.jsonl"
    with start_script("train", *flags) as process:
        try:
            wait_until(
                lambda: log.exists() and log.stat().st_size > 2000, process
            )
            process.send_signal(kind)
            output, errors = process.communicate(timeout=HANG_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 1
    assert errors == ""
    last = checkpoint_steps(tmp_path)[-1]
    assert f"stopped by {kind.name} after step {last}" in output


def test_kill_before_the_first_checkpoint_starts_at_the_beginning(
    video_level_videos, video_level_run, tmp_path
):
    (tmp_path / ".checkpoint-00000001.h5.4711.tmp").write_bytes(b"\x89HDF")
    (tmp_path / "log.jsonl").write_text('{"kind": "step", "step": 2}\n{"kin')
    settings = stage_runs.video_level_settings(video_level_videos, max_steps=4)
    train_in_process(settings, tmp_path, log_every_steps=1)
    name = "checkpoint-00000004.h5"
    expected = read_datasets(video_level_run / name)
    assert_same_datasets(read_datasets(tmp_path / name), expected)
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3, 4]


def test_checkpoint_says_how_far_the_run_had_come(joint_run):
    expected = {
        "checkpoint-00000004.h5": (4, 64, 0, [64]),
        "checkpoint-00000005.h5": (5, 72, 1, []),
        "checkpoint-00000012.h5": (12, 176, 2, [32]),
        "checkpoint-00000015.h5": (15, 216, 3, []),
    }
    for name, (step, examples_seen, epoch, positions) in expected.items():
        with h5py.File(joint_run / name) as file:
            assert json.loads(file.attrs["progress"]) == {
                "step": step,
                "examples_seen": examples_seen,
                "epoch": epoch,
                "positions": positions,
                "best_gap": None,
                "best_epoch": 0,
            }

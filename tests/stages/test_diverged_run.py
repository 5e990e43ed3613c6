"""A loss or weight that is not finite: checkpoints stay good, runs go on."""

import re

import numpy as np
import pytest
from stage_runs import train_in_process, video_level_settings
from stored_files import checkpoint_steps, read_datasets, read_log

from distill.checkpoints.finite import NonFiniteError
from distill.settings.run_options import RunOptions
from distill.training.loop import TrainingRun


def make_run(videos, path, **options):
    settings = video_level_settings(videos, num_epochs=2)
    options = {"checkpoint_every_steps": 2} | options
    return TrainingRun(settings, RunOptions(str(path), **options))


def spoil(run, monkeypatch, steps, spoil_weights=False):
    """Makes the data of some calls of the step NaN; counts the calls."""
    step, calls = run.trainer.step, []

    def train(micro_batches, *rates):
        calls.append(len(calls) + 1)
        if calls[-1] in steps and not spoil_weights:
            micro_batches[0][0]["features"] = (
                micro_batches[0][0]["features"] * np.nan
            )
        result = step(micro_batches, *rates)
        if calls[-1] in steps and spoil_weights:
            weight = run.trainer.student.model.weights[0]
            weight.assign(weight * np.nan)
        return result

    monkeypatch.setattr(run.trainer, "step", train)
    return calls


def test_a_loss_that_is_nan_stops_the_run_and_names_step_and_term(
    video_level_videos, tmp_path, monkeypatch
):
    run = make_run(video_level_videos, tmp_path)
    calls = spoil(run, monkeypatch, {6})
    with pytest.raises(NonFiniteError) as raised:
        run.train()
    assert calls == [1, 2, 3, 4, 5, 6]
    message = str(raised.value)
    assert re.match(
        r"Step 6: the loss is nan \(student_label_loss is nan\)\. The last "
        rf"good checkpoint is {tmp_path}/checkpoint-00000005\.h5; ",
        message,
    ), message
    assert "--on_nan=rollback" in message
    assert checkpoint_steps(tmp_path) == [2, 4, 5]
    for step in (2, 4, 5):
        path = tmp_path / f"checkpoint-{step:08d}.h5"
        for values in read_datasets(path).values():
            assert np.isfinite(values).all()


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(
    video_level_videos, tmp_path, monkeypatch
):
    run = make_run(video_level_videos, tmp_path, on_nan="rollback")
    spoil(run, monkeypatch, {2})
    with pytest.raises(NonFiniteError, match=r"Step 2: .* no checkpoint yet"):
        run.train()


def test_a_rollback_goes_on_without_the_batches_since(
    video_level_videos, tmp_path, monkeypatch, capsys
):
    """Step 4's batch is NaN: those of steps 3 and 4 are left out."""
    run = make_run(video_level_videos, tmp_path / "run", on_nan="rollback")
    calls = spoil(run, monkeypatch, {4})
    assert run.train()
    assert len(calls) == 10
    assert "Going back to" in capsys.readouterr().out
    progress = run.progress
    assert (progress.step, progress.epoch) == (8, 2)
    # Two batches of 16 of the 144 videos of two epochs are left out.
    assert progress.examples_seen == 144 - 32

    # The same by hand: a run that is not given these batches.
    other = make_run(video_level_videos, tmp_path / "other")
    read, step = [], other.trainer.step

    def leave_out(micro_batches, *rates):
        read.append(micro_batches)
        if len(read) in (3, 4):
            other.progress.step -= 1
            other.progress.examples_seen -= 16
            return {"loss": np.float32(0)}, [{}]
        return step(micro_batches, *rates)

    monkeypatch.setattr(other.trainer, "step", leave_out)
    assert other.train()
    found, expected = (
        read_datasets(tmp_path / name / "checkpoint-00000008.h5", "student")
        for name in ("run", "other")
    )
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_a_run_that_diverges_again_and_again_stops(
    video_level_videos, tmp_path, monkeypatch
):
    settings = video_level_settings(video_level_videos, num_epochs=1)
    train_in_process(settings, tmp_path)
    run = make_run(video_level_videos, tmp_path, on_nan="rollback")
    calls = spoil(run, monkeypatch, set(range(1, 99)))
    with pytest.raises(NonFiniteError, match="again after 3 rollbacks"):
        run.train()
    assert len(calls) == 4


def test_weights_that_are_not_finite_are_never_written(
    video_level_videos, tmp_path, monkeypatch
):
    """A gradient may spoil them though the loss before it is finite."""
    run = make_run(video_level_videos, tmp_path)
    spoil(run, monkeypatch, {4}, spoil_weights=True)
    message = "student/.* (NaN or infinite|not finite).*checkpoint-00000002"
    with pytest.raises(NonFiniteError, match=message):
        run.train()
    assert checkpoint_steps(tmp_path) == [2]


def test_the_option_is_checked(tmp_path):
    with pytest.raises(ValueError, match="Unknown on_nan 'rolback'"):
        RunOptions(str(tmp_path), on_nan="rolback")


def test_log_lines_are_of_steps_that_count(
    video_level_videos, tmp_path, monkeypatch
):
    run = make_run(
        video_level_videos, tmp_path, on_nan="rollback", log_every_steps=1
    )
    spoil(run, monkeypatch, {4})
    assert run.train()
    assert all(np.isfinite(line["loss"]) for line in read_log(tmp_path))

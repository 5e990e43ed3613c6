"""Every training run scores its networks, keeps the best and stops early."""

import dataclasses
import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import h5py
import pytest
from stage_runs import (
    call_at_step,
    pooled,
    predict_all,
    student_settings,
    train_in_process,
    validation_reader,
    video_level_settings,
)
from stored_files import (
    assert_same_checkpoint,
    assert_same_datasets,
    checkpoint_steps,
    read_datasets,
    read_log,
    true_labels,
)

from distill.checkpoints.conversion import convert
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.loading import load_network
from distill.settings.run import AutoencoderSettings, RunSettings
from distill.settings.run_options import RunOptions
from distill.settings.training import DistillationSettings
from distill.training import loop
from tests import plain_metrics

REGIMES = ("teacher", "labels", "parallel", "serial", "mimic")
EVERY_4TH = FrameBudget.every(4)
BOTH = DistillationSettings()
MIMIC = DistillationSettings(
    mimic=True, student_label_loss_weight=0.0, prediction_loss_weight=0.0
)


def regime_settings(regime: str, videos: Path, teacher: Path) -> RunSettings:
    """Returns two epochs of a regime; `teacher` is a trained one's file."""
    training = {"num_epochs": 2, "base_learning_rate": 0.1}
    alone = dataclasses.replace(
        student_settings(videos, **training),
        student=pooled(ALL_FRAMES if regime == "teacher" else EVERY_4TH),
    )
    trained = {"teacher_checkpoints": (str(teacher),)}
    taught = {
        "parallel": {"teacher": pooled(), "distillation": BOTH},
        "serial": trained | {"distillation": BOTH},
        "mimic": trained | {"distillation": MIMIC},
    }
    return dataclasses.replace(alone, **taught.get(regime, {}))


@pytest.fixture(scope="module")
def runs(videos, tmp_path_factory) -> dict[str, Path]:
    """Returns the directory of a run of each regime; the first one teaches."""
    root = tmp_path_factory.mktemp("regimes")
    for regime in REGIMES:
        train_in_process(
            regime_settings(regime, videos, root / "teacher" / "best.h5"),
            root / regime,
            eval_data_pattern=f"{videos}/validate-*.tfrecord",
        )
    return {regime: root / regime for regime in REGIMES}


def validation_gap(checkpoint: Path, videos: Path, role: str) -> float:
    """Returns the GAP at 20 of a checkpoint's network, in plain Python."""
    network = load_network(checkpoint, role)
    ids, predictions = predict_all(network, validation_reader(videos))
    ranked = map(plain_metrics.rank, predictions)
    rankings = dict(zip(ids, ranked, strict=True))
    return plain_metrics.score_videos(rankings, true_labels(videos), 20)["gap"]


def read_scores(run: Path) -> list[dict]:
    """Returns the lines of a run's log about validation."""
    return [line for line in read_log(run) if line["kind"] == "evaluation"]


@pytest.mark.parametrize("regime", REGIMES)
def test_every_network_that_trains_is_scored_after_each_epoch(
    videos, runs, regime
):
    roles = ["student"]
    if regime == "parallel":
        roles = ["teacher", "student"]
    run = runs[regime]
    expected = {
        (step, role): validation_gap(
            run / f"checkpoint-{step:08d}.h5", videos, role
        )
        for step in (5, 10)
        for role in roles
    }
    lines = read_scores(run)
    found = {(line["step"], line["role"]): line["gap"] for line in lines}
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-7)
    frames = {line["role"]: line["frames"] for line in lines}
    assert frames.pop("student") == (40 if regime == "teacher" else 10)
    assert set(frames.values()) <= {40}


@pytest.mark.parametrize("regime", REGIMES)
def test_the_best_networks_are_kept_whole_without_the_optimiser(runs, regime):
    run = runs[regime]
    gaps = {
        line["step"]: line["gap"]
        for line in read_scores(run)
        if line["role"] == "student"
    }
    best = max(gaps, key=gaps.get)
    groups = ["student", "teacher"] if regime == "parallel" else ["student"]
    with h5py.File(run / "best.h5") as file:
        assert sorted(file) == groups
        progress = json.loads(file.attrs["progress"])
    assert (progress["step"], progress["best_gap"]) == (best, gaps[best])
    assert progress["best_epoch"] == best // 5
    for group in groups:
        assert_same_datasets(
            read_datasets(run / "best.h5", group),
            read_datasets(run / f"checkpoint-{best:08d}.h5", group),
        )


def test_a_joint_run_s_best_is_converted_and_its_teacher_scored(
    videos, runs, tmp_path
):
    best = runs["parallel"] / "best.h5"
    convert(best, tmp_path / "student.h5")
    with h5py.File(best) as file:
        step = json.loads(file.attrs["progress"])["step"]
    expected = {
        line["role"]: line["gap"]
        for line in read_scores(runs["parallel"])
        if line["step"] == step
    }
    found = {
        "teacher": validation_gap(best, videos, "teacher"),
        "student": validation_gap(tmp_path / "student.h5", videos, "student"),
    }
    assert found == pytest.approx(expected, abs=1e-7)


def test_validation_changes_no_bit_of_a_joint_run(videos, runs, tmp_path):
    settings = regime_settings("parallel", videos, tmp_path)
    train_in_process(settings, tmp_path)
    last = "checkpoint-00000010.h5"
    assert_same_datasets(
        read_datasets(tmp_path / last), read_datasets(runs["parallel"] / last)
    )


def say_gaps(monkeypatch, gaps):
    """Lets validation say the given GAPs; returns those still to be said."""
    remaining = list(gaps)

    def say_gap(networks, reader, *, label_loss, top_k, sharing):
        scores = {"gap": remaining.pop(0), "hit_at_one": 0.5, "perr": 0.5}
        return dict.fromkeys(networks, scores)

    monkeypatch.setattr(loop, "evaluate_networks", say_gap)
    return remaining


def train_with_gaps(monkeypatch, settings, train_dir, gaps, **options) -> None:
    """Trains while validation says the given GAPs, one an epoch."""
    remaining = say_gaps(monkeypatch, gaps)
    pattern = settings.training.train_data_pattern
    train_in_process(settings, train_dir, eval_data_pattern=pattern, **options)
    assert remaining == []


@pytest.mark.parametrize(
    ("gaps", "best"),
    [
        ([0.1, 0.2, 0.3], 15),
        ([0.3, 0.2, 0.1], 5),
        ([0.1, 0.3, 0.3], 10),
        ([0.0, 0.0, 0.0], 5),
    ],
)
def test_best_is_the_first_epoch_of_the_greatest_gap(
    video_level_videos, tmp_path, monkeypatch, gaps, best
):
    settings = video_level_settings(video_level_videos, num_epochs=3)
    train_with_gaps(monkeypatch, settings, tmp_path, gaps)
    assert_same_datasets(
        read_datasets(tmp_path / "best.h5", "student"),
        read_datasets(tmp_path / f"checkpoint-{best:08d}.h5", "student"),
    )


def test_resumed_run_keeps_a_best_that_is_not_beaten(
    video_level_videos, tmp_path, monkeypatch
):
    settings = video_level_settings(video_level_videos, num_epochs=2)
    train_with_gaps(monkeypatch, settings, tmp_path, [0.5, 0.4])
    best = (tmp_path / "best.h5").read_bytes()
    settings = video_level_settings(video_level_videos, num_epochs=3)
    train_with_gaps(monkeypatch, settings, tmp_path, [0.45])
    assert (tmp_path / "best.h5").read_bytes() == best
    settings = video_level_settings(video_level_videos, num_epochs=4)
    train_with_gaps(monkeypatch, settings, tmp_path, [0.55])
    assert (tmp_path / "best.h5").read_bytes() != best


def test_validation_that_was_cut_off_is_repeated_and_logged_once(
    video_level_videos, tmp_path, monkeypatch
):
    settings = video_level_settings(video_level_videos, num_epochs=2)
    pattern = f"{video_level_videos}/validate-*.tfrecord"
    options = RunOptions(
        str(tmp_path), checkpoint_every_steps=1, eval_data_pattern=pattern
    )
    run = loop.TrainingRun(settings, options)

    write = run.state.write

    def fail(path, groups):
        if path.name == "best.h5":
            raise OSError(28, "No space left on device")
        write(path, groups)

    with monkeypatch.context() as patch:
        patch.setattr(run.state, "write", fail)
        with pytest.raises(OSError, match="No space left"):
            run.train()
    assert checkpoint_steps(tmp_path)[-1] == 5
    assert loop.TrainingRun(settings, options).train()
    assert (tmp_path / "best.h5").exists()
    assert [line["step"] for line in read_scores(tmp_path)] == [5, 10]


def test_without_validation_files_there_is_no_best(
    video_level_videos, tmp_path
):
    settings = video_level_settings(video_level_videos, num_epochs=1)
    train_in_process(settings, tmp_path)
    assert not (tmp_path / "best.h5").exists()


GAPS = [0.1, 0.3, 0.25, 0.2, 0.3]


@pytest.fixture(scope="module")
def impatient(video_level_videos, tmp_path_factory) -> tuple[Path, str]:
    """Returns a run that patience ends after 5 of 9 epochs, and its output."""
    settings = video_level_settings(video_level_videos, num_epochs=9)
    run = tmp_path_factory.mktemp("impatient")
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        train_with_gaps(patch, settings, run, GAPS, patience=3)
    return run, said.getvalue()


def test_patience_ends_a_run_and_more_of_it_goes_on(
    capsys, video_level_videos, impatient, tmp_path, monkeypatch
):
    end = "the best GAP, 0.3000, is that of epoch 2 of 5; raise --patience"
    ended, said = impatient
    assert checkpoint_steps(ended)[-1] == 25
    assert f"stopped early: {end}" in said
    run = shutil.copytree(ended, tmp_path / "run")
    settings = video_level_settings(video_level_videos, num_epochs=9)
    train_with_gaps(monkeypatch, settings, run, [], patience=3)
    assert f"nothing to do: {end}" in capsys.readouterr().out
    train_with_gaps(
        monkeypatch, settings, run, [0.4, 0.3, 0.3, 0.3], patience=4
    )
    assert checkpoint_steps(run)[-1] == 45
    assert "stopped early" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "moment", ["within an epoch", "after a validation", "at max_steps"]
)
def test_stopped_run_ends_in_the_same_epoch_as_one_that_was_not(
    video_level_videos, impatient, tmp_path, monkeypatch, moment
):
    run = tmp_path / "run"
    told = 2 if moment == "within an epoch" else 1
    steps = {"max_steps": 10} if moment == "at max_steps" else {}
    stop_run(monkeypatch, video_level_videos, run, moment, steps)
    settings = video_level_settings(video_level_videos, num_epochs=9)
    train_with_gaps(monkeypatch, settings, run, GAPS[told:], patience=3)
    ended, _ = impatient
    for name in ("checkpoint-00000025.h5", "best.h5"):
        assert_same_datasets(
            read_datasets(run / name), read_datasets(ended / name)
        )
    assert_same_checkpoint(
        run / "checkpoint-00000025.h5", ended / "checkpoint-00000025.h5"
    )


def stop_run(monkeypatch, videos, train_dir, moment, steps) -> None:
    """Stops a run within epoch 3, or at the end of epoch 2."""
    say_gaps(monkeypatch, GAPS)
    settings = video_level_settings(videos, num_epochs=9, **steps)
    options = RunOptions(
        str(train_dir),
        checkpoint_every_steps=1,
        eval_data_pattern=settings.training.train_data_pattern,
        patience=3,
    )
    run = loop.TrainingRun(settings, options)

    def fail():
        raise RuntimeError("The power is off.")

    if moment == "at max_steps":
        assert run.train()
        return
    if moment == "within an epoch":
        call_at_step(monkeypatch, run, 12, fail)
    else:
        save = run.state.save

        def save_or_fail():
            return fail() if run.progress.epoch == 2 else save()

        monkeypatch.setattr(run.state, "save", save_or_fail)
    with pytest.raises(RuntimeError, match="power is off"):
        run.train()


def test_patience_needs_files_and_networks_to_score(
    video_level_videos, tmp_path
):
    with pytest.raises(ValueError, match=r"patience=2 needs eval_data_pattern"):
        RunOptions(str(tmp_path), patience=2)
    settings = dataclasses.replace(
        video_level_settings(video_level_videos),
        student=None,
        autoencoder=AutoencoderSettings("4"),
    )
    pattern = settings.training.train_data_pattern
    options = RunOptions(str(tmp_path), eval_data_pattern=pattern)
    said = loop.TrainingRun(settings, options).messages
    assert len(said) == 1
    assert said[0].startswith("--eval_data_pattern is not used")
    with pytest.raises(ValueError, match="patience=2 is for networks"):
        loop.TrainingRun(settings, dataclasses.replace(options, patience=2))

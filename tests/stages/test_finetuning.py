"""Fine-tuning starts from the converted student and keeps its best epoch."""

import dataclasses
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from stage_runs import (
    predict_all,
    run_script,
    student_settings,
    train_in_process,
    training_flags,
    validation_reader,
    video_level_settings,
)
from stored_files import (
    assert_same_datasets,
    checkpoint_steps,
    read_datasets,
    read_log,
    true_labels,
)

from distill.checkpoints.checkpoint import CheckpointError
from distill.networks.loading import load_network
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.training import loop
from tests import plain_metrics


def finetuning_settings(
    videos: Path, student_checkpoint: Path, **training
) -> RunSettings:
    """Returns the settings of a student that starts from a file."""
    return dataclasses.replace(
        student_settings(videos, **training),
        initial_checkpoint=str(student_checkpoint),
    )


def held_weights(run: loop.TrainingRun) -> dict[str, np.ndarray]:
    """Returns the values of a run's student by name."""
    variables = run.trainer.groups["student"]
    return {name: np.asarray(value) for name, value in variables.items()}


def test_run_starts_from_exactly_the_converted_weights(
    videos, student_checkpoint, tmp_path
):
    run = loop.TrainingRun(
        finetuning_settings(videos, student_checkpoint, seed=8),
        RunOptions(str(tmp_path)),
    )
    expected = read_datasets(student_checkpoint, "student")
    assert_same_datasets(held_weights(run), expected)
    assert run.messages == [
        f"starting from the student of {student_checkpoint}"
    ]


def test_learning_rate_of_0_changes_batch_statistics_alone(
    videos, student_checkpoint, tmp_path
):
    settings = finetuning_settings(
        videos, student_checkpoint, base_learning_rate=0.0, num_epochs=1
    )
    train_in_process(settings, tmp_path)
    old = read_datasets(student_checkpoint, "student")
    new = read_datasets(tmp_path / "checkpoint-00000005.h5", "student")
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed == {"input_norm/moving_mean", "input_norm/moving_variance"}


def validation_gap(checkpoint: Path, videos: Path) -> float:
    """Returns the GAP at 20 of a checkpoint's student, in plain Python."""
    network = load_network(checkpoint, "student")
    ids, predictions = predict_all(network, validation_reader(videos))
    ranked = map(plain_metrics.rank, predictions)
    rankings = dict(zip(ids, ranked, strict=True))
    return plain_metrics.score_videos(rankings, true_labels(videos), 20)["gap"]


def test_every_epoch_is_scored_and_the_best_is_kept(
    videos, student_checkpoint, tmp_path
):
    settings = finetuning_settings(
        videos, student_checkpoint, base_learning_rate=0.1, num_epochs=3
    )
    train_in_process(
        settings, tmp_path, eval_data_pattern=f"{videos}/validate-*.tfrecord"
    )
    assert checkpoint_steps(tmp_path) == [5, 10, 15]
    paths = {s: tmp_path / f"checkpoint-{s:08d}.h5" for s in (5, 10, 15)}
    gaps = {step: validation_gap(paths[step], videos) for step in paths}
    lines = [x for x in read_log(tmp_path) if x["kind"] == "evaluation"]
    logged = {line["step"]: line["gap"] for line in lines}
    assert logged == pytest.approx(gaps, abs=1e-7)
    best = max(gaps, key=gaps.get)
    assert_same_datasets(
        read_datasets(tmp_path / "best.h5", "student"),
        read_datasets(paths[best], "student"),
    )
    with h5py.File(tmp_path / "best.h5") as file:
        progress = json.loads(file.attrs["progress"])
    assert progress["step"] == best
    assert progress["best_gap"] == pytest.approx(gaps[best], abs=1e-7)


def train_with_gaps(monkeypatch, settings, train_dir, gaps) -> None:
    """Trains while validation says the given GAPs, one an epoch."""
    remaining = iter(gaps)

    def say_gap(network, reader, *, label_loss, top_k, sharing):
        return {"gap": next(remaining), "hit_at_one": 0.5, "perr": 0.5}

    monkeypatch.setattr(loop, "evaluate_network", say_gap)
    pattern = settings.training.train_data_pattern
    train_in_process(settings, train_dir, eval_data_pattern=pattern)
    assert list(remaining) == []


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
    lines = [x for x in read_log(tmp_path) if x["kind"] == "evaluation"]
    assert [line["step"] for line in lines] == [5, 10]


def test_without_validation_files_there_is_no_best(
    video_level_videos, tmp_path
):
    settings = video_level_settings(video_level_videos, num_epochs=1)
    train_in_process(settings, tmp_path)
    assert not (tmp_path / "best.h5").exists()


def test_other_classes_keep_the_encoder_and_start_the_classifier_anew(
    videos, student_checkpoint, tmp_path
):
    settings = finetuning_settings(videos, student_checkpoint, num_epochs=1)
    data = dataclasses.replace(settings.data, num_classes=13)
    settings = dataclasses.replace(settings, data=data)
    run = loop.TrainingRun(settings, RunOptions(str(tmp_path / "run")))
    old = read_datasets(student_checkpoint, "student")
    new = held_weights(run)
    encoder = {n for n in old if not n.startswith("classifier/")}
    assert len(encoder) == 10
    assert_same_datasets(
        {name: new[name] for name in encoder},
        {name: old[name] for name in encoder},
    )
    fresh = loop.TrainingRun(
        dataclasses.replace(settings, initial_checkpoint=None),
        RunOptions(str(tmp_path / "fresh")),
    )
    classifier = new.keys() - encoder
    assert_same_datasets(
        {name: new[name] for name in classifier},
        {name: held_weights(fresh)[name] for name in classifier},
    )
    assert new["classifier/gates_kernel"].shape == (12, 39)
    assert run.messages == [
        f"starting from the encoder of {student_checkpoint}; its classifier "
        "has 10 classes, so the one of 13 classes starts anew"
    ]


def test_resumed_run_does_not_start_from_the_converted_file_again(
    videos, student_checkpoint, tmp_path
):
    converted = shutil.copy(student_checkpoint, tmp_path / "student.h5")
    settings = finetuning_settings(videos, converted, max_steps=2)
    train_in_process(settings, tmp_path / "run")
    Path(converted).unlink()
    settings = finetuning_settings(videos, converted)
    run = loop.TrainingRun(settings, RunOptions(str(tmp_path / "run")))
    trained = tmp_path / "run" / "checkpoint-00000002.h5"
    assert_same_datasets(held_weights(run), read_datasets(trained, "student"))


def test_file_that_does_not_fit_the_student_is_refused(
    videos, student_checkpoint, tmp_path
):
    settings = finetuning_settings(videos, student_checkpoint)
    arguments = {**settings.student.arguments, "lstm_cells": 7}
    student = dataclasses.replace(settings.student, arguments=arguments)
    settings = dataclasses.replace(settings, student=student)
    with pytest.raises(CheckpointError, match=r"kernel has the shape"):
        loop.TrainingRun(settings, RunOptions(str(tmp_path)))


@pytest.mark.slow
def test_script_takes_the_sizes_from_the_converted_file(
    videos, student_checkpoint, tmp_path
):
    done = run_script(
        "finetune",
        *training_flags(videos),
        f"--train_dir={tmp_path}",
        f"--student_checkpoint={student_checkpoint}",
        f"--eval_data_pattern={videos}/validate-*.tfrecord",
        "--num_classes=12",
        "--num_epochs=1",
        "--gpu=-1",
    )
    first = done.stdout.splitlines()[0]
    assert "so the one of 12 classes starts anew" in first
    assert "validation after step 5: Hit@1 " in done.stdout
    assert checkpoint_steps(tmp_path) == [5]
    assert (tmp_path / "best.h5").exists()
    expected = json.loads(student_settings(videos).to_json())
    written = json.loads((tmp_path / "settings.json").read_text())
    assert written["student"] == expected["student"]
    assert written["data"] == expected["data"] | {"num_classes": 12}

"""Fine-tuning starts from the converted student and keeps its best epoch."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from stage_runs import (
    run_script,
    student_settings,
    train_in_process,
    training_flags,
)
from stored_files import (
    assert_same_datasets,
    checkpoint_steps,
    read_datasets,
)

from distill.checkpoints.checkpoint import CheckpointError
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.training import loop


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
    lines = done.stdout.splitlines()
    assert "so the one of 12 classes starts anew" in lines[1]
    scored = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert lines[-2] == f"best: {tmp_path}/best.h5, " + (
        f"validation GAP {scored['gap']:.4f}"
    )
    assert checkpoint_steps(tmp_path) == [5]
    assert (tmp_path / "best.h5").exists()
    expected = json.loads(student_settings(videos).to_json())
    written = json.loads((tmp_path / "settings.json").read_text())
    assert written["student"] == expected["student"]
    assert written["data"] == expected["data"] | {"num_classes": 12}

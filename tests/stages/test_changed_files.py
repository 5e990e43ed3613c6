"""Going on with other files than before: data, teachers, initial weights."""

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import stage_runs
import tensorflow as tf
from stage_runs import train_in_process, video_level_settings
from stored_files import (
    assert_same_checkpoint,
    checkpoint_steps,
    read_log,
    read_records,
)

from distill.checkpoints.checkpoint import (
    CheckpointError,
    read_inputs,
    read_progress,
)
from distill.checkpoints.inspection import describe_checkpoint
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.settings.training import DistillationSettings
from distill.training.loop import TrainingRun

NUM_FILES = 4


@pytest.fixture(scope="module")
def shards(video_level_videos, tmp_path_factory) -> Path:
    """Returns a directory with four files of 18 and four of 10 videos."""
    directory = tmp_path_factory.mktemp("shards")
    for split in ("train", "validate"):
        records = read_records(video_level_videos, split)
        for index in range(NUM_FILES):
            path = directory / f"{split}-{index}.tfrecord"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for record in records[index::NUM_FILES]:
                    writer.write(record)
    return directory


@pytest.fixture
def data(shards, tmp_path) -> Path:
    """Returns a copy of that directory to change."""
    return shutil.copytree(shards, tmp_path / "data")


def settings_of(data: Path, **training) -> RunSettings:
    """Returns a run of two epochs of five steps, or of `max_steps`."""
    return video_level_settings(data, **{"num_epochs": 2} | training)


def resume(settings: RunSettings, directory: Path, **options) -> list[str]:
    """Goes on with a run; returns its first lines."""
    run = TrainingRun(settings, RunOptions(str(directory), **options))
    run.train()
    return run.messages


def assert_refused(
    settings: RunSettings, directory: Path, *words: str, **options
) -> None:
    """Asserts that a run is refused with some words, and changes nothing."""
    before = {p.name: p.read_bytes() for p in directory.glob("*.*")}
    with pytest.raises(ValueError, match="was written") as error:
        TrainingRun(settings, RunOptions(str(directory), **options))
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)
    assert {p.name: p.read_bytes() for p in directory.glob("*.*")} == before


@pytest.mark.parametrize("end", [{"max_steps": 3}, {"num_epochs": 1}])
def test_missing_training_files_are_refused(data, tmp_path, end):
    """Amid an epoch and at its end."""
    run = tmp_path / "run"
    train_in_process(settings_of(data, **end), run)
    for index in (1, 2, 3):
        (data / f"train-{index}.tfrecord").unlink()
    missing = "3 of 4 missing: train-1.tfrecord, train-2.tfrecord, train-3.t"
    amid = "amid an epoch, " * ("max_steps" in end)
    words = [missing, "--train_dir", "--accept_changed_files"]
    words += [f"was written {amid}with other training files"]
    assert_refused(settings_of(data), run, *words)


def test_a_file_of_another_size_is_refused(data, tmp_path):
    train_in_process(settings_of(data, max_steps=5), tmp_path / "run")
    file = data / "train-2.tfrecord"
    file.write_bytes(
        file.read_bytes() + (data / "train-0.tfrecord").read_bytes()
    )
    changed = "1 of 4 of another size: train-2.tfrecord"
    assert_refused(settings_of(data), tmp_path / "run", changed)


def test_accepted_files_are_those_of_the_epoch_from_its_beginning(
    data, tmp_path
):
    run = tmp_path / "run"
    train_in_process(settings_of(data, max_steps=3), run)
    for index in (2, 3):
        (data / f"train-{index}.tfrecord").unlink()
    lines = resume(settings_of(data), run, accept_changed_files=True)
    assert lines[-1] == (
        "training files changed since then (2 of 4 missing: train-2.tfrecord, "
        "train-3.tfrecord): epoch 1 begins anew with those of now"
    )
    # 3 steps of 16 videos; two epochs of the 36 videos that are left.
    progress = read_progress(run / "checkpoint-00000009.h5")
    assert progress["examples_seen"] == 3 * 16 + 2 * 36
    # Now these are the files of the run.
    lines = resume(settings_of(data, num_epochs=3), run)
    assert not [line for line in lines if "files changed" in line]


def test_new_files_are_taken_up_where_an_epoch_begins(data, tmp_path):
    new = data / "train-3.tfrecord"
    kept = new.rename(tmp_path / "kept")
    train_in_process(settings_of(data, num_epochs=1), tmp_path / "end")
    train_in_process(settings_of(data, max_steps=2), tmp_path / "amid")
    kept.rename(new)
    assert_refused(settings_of(data), tmp_path / "amid", "1 new: train-3.tfre")
    lines = resume(settings_of(data), tmp_path / "end")
    assert lines[-1] == (
        "training files changed since then (1 new: train-3.tfrecord): epoch 2 "
        "begins with those of now"
    )
    last = checkpoint_steps(tmp_path / "end")[-1]
    progress = read_progress(tmp_path / "end" / f"checkpoint-{last:08d}.h5")
    assert progress["examples_seen"] == 54 + 72


def test_moved_data_go_on_to_the_same_bits(data, tmp_path):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    train_in_process(settings_of(data), straight)
    train_in_process(settings_of(data, max_steps=3), stopped)
    moved = data.rename(tmp_path / "elsewhere")
    resume(settings_of(moved), stopped)
    last = "checkpoint-00000010.h5"
    assert_same_checkpoint(stopped / last, straight / last)


def test_without_the_list_of_files_their_numbers_are_compared(data, tmp_path):
    run = tmp_path / "run"
    train_in_process(settings_of(data, max_steps=5), run)
    (run / "inputs.json").write_text('{"train_files": [["a", 1]]}')
    (data / "train-3.tfrecord").unlink()
    assert_refused(settings_of(data), run, "(4 of ", " bytes -> 3 of ")


def test_a_run_of_an_earlier_version_goes_on_and_says_what_is_unknown(
    data, tmp_path
):
    run = tmp_path / "run"
    train_in_process(settings_of(data, max_steps=3), run)
    with h5py.File(run / "checkpoint-00000003.h5", "r+") as file:
        del file.attrs["inputs"]
    (run / "inputs.json").unlink()
    (data / "train-3.tfrecord").unlink()
    lines = resume(settings_of(data), run)
    assert lines[-1] == (
        "the checkpoint, of an earlier version, does not say what files it "
        "has read: they are not compared"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "its inputs cannot be read: the field train_files is missing"),
        ('{"train_files": 3, "digests": {}}', "train_files must be an object"),
        (
            '{"train_files": {"num_files": 1, "num_bytes": 1, "sha256": ""}, '
            '"digests": {"a": 1}}',
            "digests.a must be a text",
        ),
    ],
)
def test_damaged_inputs_are_refused(data, tmp_path, text, message):
    run = tmp_path / "run"
    train_in_process(settings_of(data, max_steps=3), run)
    with h5py.File(run / "checkpoint-00000003.h5", "r+") as file:
        file.attrs["inputs"] = np.bytes_(text)
    with pytest.raises(CheckpointError, match=message):
        TrainingRun(settings_of(data), RunOptions(str(run)))


@pytest.fixture(scope="module")
def teachers(shards, tmp_path_factory) -> list[Path]:
    """Returns two trained networks."""
    root = tmp_path_factory.mktemp("teachers")
    for seed in (1, 2):
        settings = settings_of(shards, num_epochs=1, seed=seed)
        train_in_process(settings, root / str(seed))
    return [root / str(s) / "checkpoint-00000005.h5" for s in (1, 2)]


def taught(data: Path, teacher: Path, **training) -> RunSettings:
    return dataclasses.replace(
        settings_of(data, **training),
        distillation=DistillationSettings(),
        teacher_checkpoints=(str(teacher),),
    )


def test_another_teacher_under_the_same_name_is_refused(
    shards, teachers, tmp_path
):
    teacher, run = tmp_path / "teacher.h5", tmp_path / "run"
    shutil.copy(teachers[0], teacher)
    train_in_process(taught(shards, teacher, max_steps=3), run)
    shutil.copy(teachers[1], teacher)
    words = f"contents of teacher_checkpoints[0] ({teacher}): SHA-256 "
    assert_refused(taught(shards, teacher), run, words)


def test_the_same_teacher_under_another_name_goes_on(
    shards, teachers, tmp_path
):
    teacher, run = tmp_path / "teacher.h5", tmp_path / "run"
    train_in_process(taught(shards, teachers[0], max_steps=3), run)
    shutil.copy(teachers[0], teacher)
    lines = resume(taught(shards, teacher), run)
    assert any("teacher_checkpoints" in line for line in lines)
    train_in_process(taught(shards, teachers[0]), tmp_path / "straight")
    last = "checkpoint-00000010.h5"
    assert_same_checkpoint(run / last, tmp_path / "straight" / last)


def test_another_initial_checkpoint_is_refused_and_a_lost_one_is_not(
    shards, teachers, tmp_path
):
    student, run = tmp_path / "student.h5", tmp_path / "run"
    shutil.copy(teachers[0], student)

    def settings(**training):
        return dataclasses.replace(
            settings_of(shards, **training), initial_checkpoint=str(student)
        )

    train_in_process(settings(max_steps=3), run)
    shutil.copy(teachers[1], student)
    assert_refused(settings(), run, "contents of initial_checkpoint (")
    student.unlink()
    lines = resume(settings(), run)
    gone = f"{student} is gone; its weights are in the checkpoint"
    assert gone in lines
    # The run still knows what it started from.
    shutil.copy(teachers[1], student)
    assert_refused(settings(num_epochs=3), run, "contents of initial_checkp")


def test_other_class_weights_are_said(shards, tmp_path):
    weights, run = tmp_path / "weights.txt", tmp_path / "run"
    weights.write_text("1\n" * stage_runs.NUM_CLASSES)
    changes = {"class_weights_file": str(weights)}
    train_in_process(settings_of(shards, max_steps=3, **changes), run)
    weights.write_text("2\n" * stage_runs.NUM_CLASSES)
    said = "changed since then: contents of training.class_weights_file"
    lines = resume(settings_of(shards, **changes), run)
    assert any(line.startswith(said) for line in lines)


@pytest.fixture(scope="module")
def validated(shards, tmp_path_factory) -> Path:
    """Returns the directory of a run of two epochs that was scored."""
    directory = tmp_path_factory.mktemp("validated")
    train_in_process(
        settings_of(shards),
        directory,
        eval_data_pattern=f"{shards}/validate-*",
    )
    return directory


@pytest.mark.parametrize(
    ("pattern", "top_k", "said"),
    [
        ("validate-*", 1, "(top_k 20 -> 1)"),
        ("validate-[02]*", 20, "(files: 2 of 4 missing: validate-1.tfrecord"),
    ],
)
def test_the_best_of_another_measure_is_forgotten(
    shards, validated, tmp_path, pattern, top_k, said
):
    run = shutil.copytree(validated, tmp_path / "run")
    lines = resume(
        settings_of(shards, num_epochs=3),
        run,
        eval_data_pattern=f"{shards}/{pattern}",
        top_k=top_k,
        patience=5,
    )
    assert said in lines[-1]
    assert "is forgotten; the next validation writes best.h5" in lines[-1]
    (score,) = (s for s in read_log(run)[-1:] if s["kind"] == "evaluation")
    best = read_progress(run / "best.h5")
    assert (best["step"], best["best_epoch"]) == (15, 3)
    assert best["best_gap"] == score["gap"]
    # Equal from now on.
    lines = resume(
        settings_of(shards, num_epochs=3),
        run,
        eval_data_pattern=f"{shards}/{pattern}",
        top_k=top_k,
    )
    assert not [line for line in lines if "forgotten" in line]


def test_the_measure_outlasts_a_part_without_validation(
    shards, validated, tmp_path
):
    run = shutil.copytree(validated, tmp_path / "run")
    resume(settings_of(shards, num_epochs=3), run)
    measure = read_inputs(validated / "checkpoint-00000010.h5").measure
    assert read_inputs(run / "checkpoint-00000015.h5").measure == measure
    options = {"eval_data_pattern": f"{shards}/validate-*", "top_k": 2}
    lines = resume(settings_of(shards, num_epochs=3), run, **options)
    assert "(top_k 20 -> 2)" in lines[-1]


def test_the_best_that_is_gone_is_written_anew(shards, validated, tmp_path):
    run = shutil.copytree(validated, tmp_path / "run")
    (run / "best.h5").unlink()
    lines = resume(
        settings_of(shards, num_epochs=3),
        run,
        eval_data_pattern=f"{shards}/validate-*",
    )
    assert lines[-1].startswith("best.h5 is gone: the best GAP, ")
    assert read_progress(run / "best.h5")["best_epoch"] == 3


def test_a_rollback_keeps_the_best_score(shards, tmp_path):
    """Its networks are on the disk, wherever the run goes back to."""
    settings = settings_of(shards, num_epochs=3)
    run = TrainingRun(
        settings,
        RunOptions(
            str(tmp_path),
            eval_data_pattern=f"{shards}/validate-*",
            on_nan="rollback",
        ),
    )
    with run.state.locked():
        run.state.save()
        run.state.save_if_best(0.5)
    run.state.recover(FloatingPointError("nan"), "rollback")
    assert (run.progress.best_gap, run.progress.step) == (0.5, 0)


def test_a_checkpoint_says_what_its_run_has_read(shards, validated):
    found = dict(
        describe_checkpoint(validated / "checkpoint-00000010.h5").settings
    )
    for split, name in (("train", "train"), ("validate", "validation")):
        files = sorted(shards.glob(f"{split}-*"))
        sizes = [[path.name, os.path.getsize(path)] for path in files]
        digest = hashlib.sha256(json.dumps(sizes).encode()).hexdigest()[:12]
        assert found[f"inputs.{name}_files"] == (
            f"4 files of {sum(size for _, size in sizes):,} bytes, SHA-256 of "
            f"the list {digest}"
        )
    assert found["inputs.top_k"] == "20"

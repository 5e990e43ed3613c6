"""A converted student is the joint checkpoint's, bit for bit, and no more."""

import dataclasses
import json
import os
import re
import shutil

import h5py
import numpy as np
import pytest
from stage_runs import joint_settings, predict_all, run_script
from stored_files import assert_same_datasets, read_datasets

from distill.checkpoints.checkpoint import CheckpointError
from distill.checkpoints.conversion import convert
from distill.networks.loading import load_network


def test_student_alone_is_copied_dataset_by_dataset(
    joint_checkpoint, student_checkpoint
):
    student = read_datasets(student_checkpoint, "student")
    assert_same_datasets(student, read_datasets(joint_checkpoint, "student"))
    with h5py.File(student_checkpoint) as file:
        assert list(file) == ["student"]


def test_converted_file_carries_the_students_settings(
    videos, joint_checkpoint, student_checkpoint
):
    settings = dataclasses.replace(
        joint_settings(videos), teacher=None, distillation=None
    )
    expected = json.loads(json.dumps(dataclasses.asdict(settings)))
    with h5py.File(student_checkpoint) as file:
        assert json.loads(file.attrs["settings"]) == expected
        with h5py.File(joint_checkpoint) as joint:
            assert file.attrs["progress"] == joint.attrs["progress"]


def predict(checkpoint, reader) -> np.ndarray:
    """Returns the student's predictions of the validation videos."""
    return predict_all(load_network(checkpoint, "student"), reader)[1]


def test_student_predicts_the_same_before_and_after_and_reloaded(
    reader, joint_checkpoint, student_checkpoint
):
    before = predict(joint_checkpoint, reader)
    after = predict(student_checkpoint, reader)
    again = predict(student_checkpoint, reader)
    assert before.shape == (40, 10)
    assert before.std() > 0
    assert before.tobytes() == after.tobytes() == again.tobytes()


def test_student_alone_is_converted_to_itself(student_checkpoint, tmp_path):
    convert(student_checkpoint, tmp_path / "student.h5")
    assert_same_datasets(
        read_datasets(tmp_path / "student.h5"),
        read_datasets(student_checkpoint),
    )


def test_a_checkpoint_without_a_student_is_refused(
    student_checkpoint, tmp_path
):
    path = shutil.copy(student_checkpoint, tmp_path / "source.h5")
    with h5py.File(path, "a") as file:
        file.move("student", "autoencoder")
    message = r"holds no student, only \['autoencoder'\]"
    with pytest.raises(CheckpointError, match=message):
        convert(path, tmp_path / "student.h5")
    assert os.listdir(tmp_path) == ["source.h5"]


def test_refused_conversion_keeps_the_file_that_was_there(tmp_path):
    path = tmp_path / "student.h5"
    path.write_text("mine")
    with pytest.raises(CheckpointError):
        convert(path, path)
    assert path.read_text() == "mine"


def test_script_converts_the_newest_and_says_what_it_kept(
    joint_run, student_checkpoint, tmp_path
):
    target = tmp_path / "made" / "student.h5"
    done = run_script(
        "convert",
        f"--train_dir={joint_run}",
        f"--student_checkpoint={target}",
    )
    assert_same_datasets(
        read_datasets(target), read_datasets(student_checkpoint)
    )
    source = joint_run / "checkpoint-00000015.h5"
    expected = set()
    with h5py.File(source) as file:
        groups = list(file)
    for group in groups:
        values = read_datasets(source, group).values()
        size = sum(value.size for value in values)
        num_bytes = sum(value.nbytes for value in values)
        verb = "kept" if group == "student" else "left out"
        expected.add(
            f"{verb} {group}: {len(values)} variables, {size:,} values, "
            f"{num_bytes / 1e6:.1f} MB"
        )
    for path in (source, target):
        expected.add(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    *lines, result, following = done.stdout.splitlines()
    assert set(lines) == expected
    assert result == f"result: {target}"
    assert re.match(r"next: \S*(python -m )?distill finetune --", following)

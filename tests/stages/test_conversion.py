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

from distill.checkpoints.bias_rescaling import find_last_bias
from distill.checkpoints.checkpoint import CheckpointError, weight_names
from distill.checkpoints.conversion import convert
from distill.models import registry
from distill.networks.loading import load_network

GATED = {"moe_prob_gating": True}


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


def test_biases_of_the_last_layer_shrink_towards_their_mean(
    joint_checkpoint, student_checkpoint, reader, tmp_path
):
    """As the released code says: b becomes b / alpha + mean(b - b / alpha)."""
    source, target = tmp_path / "joint.h5", tmp_path / "student.h5"
    shutil.copy(joint_checkpoint, source)
    name = "student/classifier/experts_bias"
    with h5py.File(source, "a") as file:
        size = file[name].shape[0]
        bias = np.linspace(-3, 1, size, dtype=np.float32)
        file[name][:] = bias
    lines = convert(source, target, 4.0)
    spread = np.linspace(-3, 1, size).std()
    assert (
        "divided classifier/experts_bias by 4 about its mean: standard "
        f"deviation {spread:.4g} -> {spread / 4:.4g}"
    ) in lines
    found = read_datasets(target, "student")
    expected = bias / 4 + np.mean(bias - bias / 4)
    held = found.pop("classifier/experts_bias")
    np.testing.assert_allclose(held, expected, rtol=1e-6)
    assert held.mean() == pytest.approx(-1, abs=1e-6)
    others = read_datasets(student_checkpoint, "student")
    others.pop("classifier/experts_bias")
    assert_same_datasets(found, others)
    assert (
        predict(target, reader).tobytes() != predict(source, reader).tobytes()
    )


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_a_divisor_of_biases_is_above_zero(alpha, joint_checkpoint, tmp_path):
    with pytest.raises(ValueError, match="bias_alpha must be above 0, got"):
        convert(joint_checkpoint, tmp_path / "student.h5", alpha)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("classifier", "arguments"),
    [*((name, {}) for name in registry.CLASSIFIERS), ("MoeModel", GATED)],
)
def test_every_classifier_has_one_last_bias(classifier, arguments):
    model = registry.build_model(
        classifier,
        arguments=arguments,
        num_classes=3,
        feature_sizes=(4,),
        max_frames=1,
    )
    model.build({"features": (None, 4)})
    names = weight_names(model)
    (size,) = names[find_last_bias(names)].shape
    assert size % 3 == 0


def test_a_network_without_a_last_bias_is_refused():
    with pytest.raises(ValueError, match="whose classifier has one bias, foun"):
        find_last_bias(["classifier/kernel", "lower/bias"])


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

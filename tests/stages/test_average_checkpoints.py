"""The mean of checkpoints compared with NumPy; invalid inputs."""

import dataclasses
import shutil

import h5py
import numpy as np
import pytest
from stage_runs import (
    NUM_VALIDATE_VIDEOS,
    error_line,
    run_script,
    train_in_process,
    validation_reader,
    video_level_settings,
    video_schema,
)
from stored_files import read_datasets

from distill.checkpoints.averaging import (
    average_checkpoints,
    choose_last,
    choose_steps,
)
from distill.checkpoints.checkpoint import (
    CheckpointError,
    read_progress,
    read_settings,
    weight_names,
)
from distill.checkpoints.conversion import convert
from distill.evaluation.evaluate import evaluate_checkpoint
from distill.networks.loading import load_network
from distill.settings.run import NetworkSettings
from distill.settings.training import DistillationSettings


@pytest.fixture(scope="module")
def run(video_level_videos, tmp_path_factory):
    """Returns a joint run with EMA and a checkpoint of every step."""
    directory = tmp_path_factory.mktemp("runs") / "averaged"
    settings = video_level_settings(
        video_level_videos,
        "MoeModel",
        num_epochs=2,
        base_learning_rate=0.3,
        ema_half_life=2.0,
    )
    teacher = dataclasses.replace(
        settings.student, arguments={"moe_num_mixtures": 3, "moe_l2": 1e-6}
    )
    settings = dataclasses.replace(
        settings,
        teacher=teacher,
        distillation=DistillationSettings(prediction_loss_weight=1.0),
    )
    train_in_process(
        settings, directory, checkpoint_every_steps=1, keep_checkpoints=0
    )
    return directory


def path_of(run, step):
    return run / f"checkpoint-{step:08d}.h5"


@pytest.fixture(scope="module")
def mean(run, tmp_path_factory):
    """Returns the mean of three checkpoints."""
    path = tmp_path_factory.mktemp("mean") / "mean.h5"
    groups = average_checkpoints([path_of(run, s) for s in (2, 7, 10)], path)
    assert groups == ["student", "student_ema", "teacher", "teacher_ema"]
    return path


def test_every_weight_is_the_mean_in_double_precision(run, mean):
    parts = [read_datasets(path_of(run, step)) for step in (2, 7, 10)]
    found = read_datasets(mean)
    networks = ("student", "teacher")
    expected_names = {
        name
        for name in parts[0]
        if name.split("/")[0].removesuffix("_ema") in networks
    }
    assert found.keys() == expected_names
    assert any(name.startswith("optimizer/") for name in parts[0])
    assert any(name.startswith("student_ema/") for name in found)
    for name, values in found.items():
        stacked = np.stack([part[name].astype(np.float64) for part in parts])
        np.testing.assert_array_equal(
            values, stacked.mean(axis=0).astype(np.float32)
        )
        assert values.dtype == np.float32
        assert stacked.std(axis=0).max() > 0, name


def test_settings_and_progress_are_those_of_the_last(run, mean):
    last = path_of(run, 10)
    assert read_settings(mean) == read_settings(last)
    assert read_progress(mean) == read_progress(last)
    assert read_progress(mean)["step"] == 10


def test_the_mean_is_evaluated_and_converted_as_any_checkpoint(
    mean, video_level_videos, tmp_path
):
    """The mean of the EMA groups is loaded, the runs' results."""
    reader = validation_reader(video_level_videos, video_schema())
    converted = tmp_path / "student.h5"
    convert(mean, converted)
    stored = read_datasets(mean, "student_ema")
    for path in (mean, converted):
        weights = weight_names(load_network(path, "student").model)
        assert weights.keys() == stored.keys()
        for name, weight in weights.items():
            np.testing.assert_array_equal(weight, stored[name])
        scores = evaluate_checkpoint(path, "student", reader)
        assert scores["num_videos"] == NUM_VALIDATE_VIDEOS
        assert scores["step"] == 10


def test_a_range_of_steps_includes_both_ends(run):
    assert choose_steps(run, "3-5") == [path_of(run, s) for s in (3, 4, 5)]
    assert choose_steps(run, "9-99") == [path_of(run, s) for s in (9, 10)]
    assert choose_last(run, 2) == [path_of(run, s) for s in (9, 10)]


@pytest.mark.parametrize(
    ("choose", "value", "message"),
    [
        (choose_steps, "5", "--steps must be FROM-TO in whole numbers"),
        (choose_steps, "a-b", "--steps must be FROM-TO in whole numbers"),
        (choose_steps, "20-30", "no checkpoint of these steps, only of 1"),
        (choose_last, 1, "--last must be 2 or more, got 1"),
        (choose_last, 11, "--last=11: .* holds only 10 checkpoints"),
    ],
)
def test_missing_checkpoints_are_errors(run, choose, value, message):
    with pytest.raises(ValueError, match=message):
        choose(run, value)


def changed(path, target, **fields):
    """Copies a checkpoint with other settings."""
    shutil.copy(path, target)
    settings = dataclasses.replace(read_settings(path), **fields)
    with h5py.File(target, "a") as file:
        file.attrs["settings"] = np.bytes_(settings.to_json())
    return target


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"data": dataclasses.replace(video_schema(), id_key="x")}, "data.id_"),
        ({"teacher": NetworkSettings("LogisticModel", {})}, "teacher.argument"),
        ({"student": NetworkSettings("LogisticModel", {})}, "student.argument"),
        ({"teacher": None, "distillation": None}, "teacher"),
    ],
)
def test_other_data_or_networks_are_an_error_of_the_field(
    run, tmp_path, fields, name
):
    other = changed(path_of(run, 1), tmp_path / "other.h5", **fields)
    with pytest.raises(CheckpointError, match=f"other.h5 and .* in {name}"):
        average_checkpoints([other, path_of(run, 2)], tmp_path / "mean.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.h5"]


def test_other_training_is_no_error(run, tmp_path):
    """A run may have resumed with another learning rate."""
    training = read_settings(path_of(run, 1)).training
    training = dataclasses.replace(training, base_learning_rate=0.1, seed=9)
    other = changed(path_of(run, 1), tmp_path / "o.h5", training=training)
    average_checkpoints([path_of(run, 2), other], tmp_path / "mean.h5")
    assert read_settings(tmp_path / "mean.h5").training == training


def test_a_missing_dataset_or_another_shape_is_an_error(run, tmp_path):
    other, name = tmp_path / "other.h5", "student/classifier/gates_kernel"
    shutil.copy(path_of(run, 1), other)
    with h5py.File(other, "a") as file:
        del file[name]
    inputs, output = [other, path_of(run, 2)], tmp_path / "mean.h5"
    with pytest.raises(CheckpointError, match=f"{name} is missing in .*other"):
        average_checkpoints(inputs, output)
    with h5py.File(other, "a") as file:
        file[name] = np.zeros((2, 3), np.float32)
    message = rf"{name} is of the shape \(2, 3\) in .*other.h5, but of the"
    with pytest.raises(CheckpointError, match=message):
        average_checkpoints(inputs, output)
    assert not output.exists()


def test_inputs_that_make_no_mean_are_errors(run, tmp_path):
    first, second = path_of(run, 1), path_of(run, 2)
    output = tmp_path / "mean.h5"
    for inputs, target, message in (
        ([first], output, "two checkpoints or more, got 1"),
        ([first, second, first], output, "is given twice"),
        ([first, second], second, "is itself one of the checkpoints"),
        ([first, tmp_path / "no.h5"], output, r"There is no checkpoint .*no\."),
    ):
        with pytest.raises(ValueError, match=message):
            average_checkpoints(inputs, target)
    assert list(tmp_path.iterdir()) == []


def test_script_averages_a_run_s_last_and_refuses_half_a_choice(run, tmp_path):
    output = tmp_path / "mean.h5"
    done = run_script(
        "average_checkpoints",
        f"--train_dir={run}",
        "--last=3",
        f"--output_checkpoint={output}",
    )
    assert done.stdout.count("averaged student, student_ema, teacher") == 3
    assert done.stdout.splitlines()[-1] == f"wrote {output}"
    by_hand = tmp_path / "by_hand.h5"
    average_checkpoints([path_of(run, s) for s in (8, 9, 10)], by_hand)
    expected = read_datasets(by_hand)
    for name, values in read_datasets(output).items():
        np.testing.assert_array_equal(values, expected[name])
    refused = run_script(
        "average_checkpoints", "--last=3", "--output_checkpoint=x", status=1
    )
    message = "Give --checkpoints, or --train_dir with --steps or with --last."
    assert error_line(refused) == f"ERROR: {message}"

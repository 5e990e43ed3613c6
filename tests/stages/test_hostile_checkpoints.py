"""Hostile checkpoints are refused with a reason, before memory is taken."""

import contextlib
import random
import re
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from hostile_checkpoints import (
    FILES,
    MISFITS,
    PROGRESSES,
    STRUCTURES,
    VALUES,
    change,
    damage_bytes,
    set_value,
)
from stage_runs import joint_settings, video_level_settings
from stored_files import read_datasets

from distill.checkpoints.averaging import average_checkpoints
from distill.checkpoints.checkpoint import (
    CheckpointError,
    NonFiniteError,
    read_progress,
    weight_names,
    write_checkpoint,
)
from distill.checkpoints.conversion import convert
from distill.evaluation.evaluate import evaluate_checkpoint
from distill.networks.loading import load_network
from distill.networks.stored_settings import read_validated_settings
from distill.settings.run_options import RunOptions
from distill.training.encoders import with_encoder
from distill.training.initial_weights import load_initial_student
from distill.training.loop import TrainingRun
from distill.training.trainers import build_trainer
from tests.memory_growth import memory_grows_by_at_most

MOST_GROWTH = 30e6
PROGRESS = {"step": 5, "examples_seen": 72, "epoch": 1}


@pytest.fixture(scope="module")
def settings(video_level_videos):
    return video_level_settings(video_level_videos)


@pytest.fixture(scope="module")
def good(settings, tmp_path_factory):
    """Returns a checkpoint from which a run can go on."""
    path = tmp_path_factory.mktemp("good") / "checkpoint-00000005.h5"
    groups = build_trainer(settings).groups
    write_checkpoint(path, groups, settings, PROGRESS)
    load_network(path, "student")  # the first build takes the most memory
    return path


@pytest.fixture
def spoiled(good, tmp_path):
    """Returns a function that spoils a copy of the checkpoint."""

    def make(spoil):
        path = tmp_path / good.name
        shutil.copy(good, tmp_path / "other.h5")
        shutil.copy(good, path)
        with h5py.File(path, "a") as file:
            spoil(file)
        return path

    return make


@contextlib.contextmanager
def refused(message):
    """Expects an error, and little growth of memory before it."""
    with (
        memory_grows_by_at_most(MOST_GROWTH),
        pytest.raises(CheckpointError, match=message),
    ):
        yield


def cases(*tables):
    return [
        pytest.param(*case, id=name)
        for table in tables
        for name, case in table.items()
    ]


def assert_every_reader_refuses(path, message, good):
    """Asserts that all readers refuse a file, alone or beside a good one."""
    with refused(message):
        load_network(path, "student")
    with refused(message):
        convert(path, path.with_name("student.h5"))
    with refused(message):
        average_checkpoints([good, path], path.with_name("mean.h5"))


@pytest.mark.parametrize(("spoil", "message"), cases(STRUCTURES))
def test_foreign_structures_are_refused_by_every_reader(
    spoil, message, spoiled, tmp_path
):
    path = spoiled(spoil)
    assert_every_reader_refuses(path, message, tmp_path / "other.h5")
    assert {file.name for file in tmp_path.iterdir()} == {
        path.name,
        "other.h5",
    }


@pytest.mark.parametrize(("make", "message"), cases(FILES))
def test_foreign_files_are_refused_by_every_reader(
    make, message, good, tmp_path
):
    path = tmp_path / "checkpoint-00000001.h5"
    make(path)
    assert_every_reader_refuses(path, message, good)


@pytest.mark.parametrize(("spoil", "message"), cases(MISFITS))
def test_settings_of_other_weights_are_refused(spoil, message, spoiled):
    with refused(message):
        load_network(spoiled(spoil), "student")


@pytest.mark.parametrize(("spoil", "message"), cases(VALUES))
def test_non_finite_weights_are_refused(spoil, message, spoiled, tmp_path):
    path = spoiled(spoil)
    assert_every_reader_refuses(path, message, tmp_path / "other.h5")
    with refused(message):
        student = load_network(tmp_path / "other.h5", "student")
        load_initial_student(path, student)


@pytest.mark.parametrize(("spoil", "message"), cases(PROGRESSES))
def test_invalid_progress_is_refused(spoil, message, spoiled, tmp_path):
    path = spoiled(spoil)
    with refused(message):
        read_progress(path)
    with refused(message):
        convert(path, tmp_path / "student.h5")
    with refused(message):
        evaluate_checkpoint(path, "student", None, network="none is needed")


def name_moment(file):
    """Returns the name of one of Adam's first moments."""
    return next(name for name in sorted(file["optimizer"]) if "moment" in name)


def spoil_moment(file):
    set_value(np.nan, f"optimizer/{name_moment(file)}")(file)


def rename_moment(file):
    file["optimizer"].move(name_moment(file), "accumulator")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        STRUCTURES["external link"],
        STRUCTURES["chunks of 10^12 values"],
        STRUCTURES["settings nested deep"],
        PROGRESSES["step -1"],
        VALUES["NaN"],
        (spoil_moment, r"optimizer/\w+ holds a value that is NaN or infinite"),
        (rename_moment, r"holds no optimizer/\w*moment"),
        (
            change("settings", "student.arguments.logistic_l2", 0.5),
            "was written with other settings",
        ),
    ],
)
def test_a_run_does_not_resume_from_a_hostile_checkpoint(
    spoil, message, settings, spoiled, tmp_path
):
    path = spoiled(spoil)
    with pytest.raises(ValueError, match=message):
        TrainingRun(settings, RunOptions(str(path.parent)))
    assert not (tmp_path / "settings.json").exists()


@pytest.fixture(scope="module")
def recurrent(video_level_videos, tmp_path_factory):
    """Returns the checkpoint of an LSTM, and the frames' settings."""
    settings = joint_settings(video_level_videos)
    path = tmp_path_factory.mktemp("recurrent") / "checkpoint.h5"
    write_checkpoint(path, build_trainer(settings).groups, settings, PROGRESS)
    return path


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lstm_cells", 10**9, "lstm_cells=1000000000 does not fit 1,692"),
        ("lstm_cells", 900, "its model needs"),
        ("lstm_cells", -6, "no student can be built from its settings"),
        ("lstm_cells", 6.0, "lstm_cells must be of the type int, got '6.0'"),
        ("lstm_layers", 10**9, "lstm_layers=1000000000 does not fit"),
        ("lstm_layers", 900, "lstm_layers asks for more layers than there are"),
        ("num_inputs_to_lstm", -1, "from its settings: num_inputs_to"),
        ("dropout", 2.0, "from its settings: dropout must be below 1"),
        ("moe_num_mixtures", 900, "its model needs"),
    ],
)
def test_absurd_sizes_are_refused(field, value, message, recurrent, tmp_path):
    path = shutil.copy(recurrent, tmp_path)
    read_validated_settings(path, "student")
    with h5py.File(path, "a") as file:
        change("settings", f"student.arguments.{field}", value)(file)
    with refused(message):
        read_validated_settings(path, "student")
    with refused(message):
        load_network(path, "student")


def test_an_absurd_encoder_is_refused(video_level_videos, spoiled, settings):
    def make_autoencoder(file):
        change("settings", "autoencoder", {"encoder_sizes": "4,900"})(file)
        change("settings", "student", None)(file)
        file.move("student", "autoencoder")

    with refused("autoencoder holds classifier/bias, its model does not"):
        with_encoder(settings, str(spoiled(make_autoencoder)), None)


def test_comparing_sizes_draws_no_random_number(recurrent, tmp_path):
    """Keras seeds what it builds next by Python's random numbers."""
    path = shutil.copy(recurrent, tmp_path)
    with h5py.File(path, "a") as file:
        change("settings", "student.arguments.moe_l2", 0.125)(file)
    random.seed(7)
    expected = random.random()
    random.seed(7)
    read_validated_settings(path, "student")
    assert random.random() == expected


@pytest.mark.parametrize(
    "name",
    ["with space.h5", "a\nb.h5", "\u00fc\u4e2d.h5", "x\udcff.h5", "%s{}"],
)
def test_a_checkpoint_may_have_any_name(name, good, tmp_path):
    path = shutil.copy(good, tmp_path / name)
    weights = weight_names(load_network(path, "student").model)
    stored = read_datasets(good, "student")
    assert weights.keys() == stored.keys()
    for key, weight in weights.items():
        np.testing.assert_array_equal(weight, stored[key])


def is_refused(read, path):
    """Returns whether a reader refuses a file, in an error that names it."""
    try:
        read()
    except ValueError as error:
        return str(path) in str(error) or pytest.fail(str(error))
    return False


@pytest.mark.parametrize(
    "count", [150, pytest.param(1_500, marks=pytest.mark.slow)]
)
def test_a_damaged_checkpoint_is_read_or_refused(count, good, tmp_path):
    """In little memory, whichever byte is damaged."""
    path, whole = tmp_path / "checkpoint.h5", good.read_bytes()
    generator = np.random.default_rng(count)
    refusals = 0
    with memory_grows_by_at_most(2 * MOST_GROWTH):
        for _ in range(count):
            path.write_bytes(damage_bytes(whole, generator))
            for read in (
                lambda: load_network(path, "student"),
                lambda: read_progress(path),
                lambda: convert(path, tmp_path / "student.h5"),
            ):
                refusals += is_refused(read, path)
    assert count / 2 < refusals < 3 * count


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_not_written(value, settings, good, tmp_path):
    path = Path(shutil.copy(good, tmp_path))
    old = path.read_bytes()
    groups = {
        "student": {
            "classifier/bias": keras.Variable([1.0]),
            "classifier/kernel": keras.Variable([1.0, value]),
        }
    }
    message = (
        "student/classifier/kernel holds a value that is NaN or infinite: "
        f"{path} is not written."
    )
    with pytest.raises(NonFiniteError, match=f"^{re.escape(message)}$"):
        write_checkpoint(path, groups, settings, PROGRESS)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_whole_numbers_and_empty_variables_are_written(settings, tmp_path):
    path = tmp_path / "checkpoint.h5"
    groups = {
        "optimizer": {
            "iteration": keras.Variable(3, dtype="int64"),
            "nothing": keras.Variable(np.zeros((0, 4), np.float32)),
        }
    }
    write_checkpoint(path, groups, settings, PROGRESS)
    stored = read_datasets(path)
    assert stored["optimizer/iteration"] == 3
    assert stored["optimizer/nothing"].shape == (0, 4)
    defaults = {"positions": (), "best_gap": None, "best_epoch": 0}
    assert read_progress(path) == PROGRESS | defaults

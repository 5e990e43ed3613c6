"""An autoencoder through the stages: trained, put before networks, kept."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from stage_runs import (
    DATA_FLAGS,
    joint_settings,
    network_flags,
    pooled_settings,
    run_script,
    student_settings,
    to_flags,
    train_in_process,
    training_flags,
    video_level_settings,
)
from stored_files import assert_same_checkpoint, read_datasets, read_log

from distill.checkpoints.checkpoint import CheckpointError, read_settings
from distill.checkpoints.conversion import convert
from distill.evaluation.evaluate import evaluate_checkpoint
from distill.networks.loading import load_network
from distill.settings.run import AutoencoderSettings, RunSettings
from distill.settings.run_options import RunOptions
from distill.training.encoders import keep_encoder, with_encoder
from distill.training.loop import TrainingRun

LAST = "checkpoint-00000015.h5"
FIRST_EPOCH = "checkpoint-00000005.h5"


def autoencoder_settings(settings: RunSettings) -> RunSettings:
    """Returns the settings of an autoencoder on the same data."""
    return dataclasses.replace(
        settings,
        student=None,
        teacher=None,
        distillation=None,
        autoencoder=AutoencoderSettings("8,4"),
    )


@pytest.fixture(scope="module")
def autoencoder_run(videos, tmp_path_factory) -> Path:
    """Returns the directory of an autoencoder's run."""
    directory = tmp_path_factory.mktemp("autoencoder")
    settings = autoencoder_settings(joint_settings(videos))
    train_in_process(settings, directory, log_every_steps=1)
    return directory


@pytest.fixture(scope="module", params=[True, False], ids=["frozen", "free"])
def encoded_run(request, videos, autoencoder_run, tmp_path_factory) -> Path:
    """Returns the directory of a joint run behind the encoder."""
    directory = tmp_path_factory.mktemp("encoded")
    settings = with_encoder(
        pooled_settings(videos), str(autoencoder_run / LAST), request.param
    )
    train_in_process(settings, directory)
    return directory


def is_frozen(run: Path) -> bool:
    return read_settings(run / LAST).student.freeze_encoder


def test_the_loss_falls_during_training(autoencoder_run):
    losses = [line["loss"] for line in read_log(autoencoder_run)]
    assert len(losses) == 15
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


def test_the_checkpoint_holds_encoder_and_decoder(autoencoder_run):
    datasets = read_datasets(autoencoder_run / LAST)
    shapes = {
        name.removeprefix("autoencoder/"): array.shape
        for name, array in datasets.items()
        if name.startswith("autoencoder/") and name.endswith("kernel")
    }
    assert shapes == {
        "encoder/dense_0/kernel": (16, 8),
        "encoder/dense_1/kernel": (8, 4),
        "decoder/dense_0/kernel": (4, 8),
        "decoder/dense_1/kernel": (8, 16),
    }


def test_an_autoencoder_goes_on_bit_for_bit(videos, autoencoder_run, tmp_path):
    shutil.copy(autoencoder_run / FIRST_EPOCH, tmp_path)
    settings = autoencoder_settings(joint_settings(videos))
    train_in_process(settings, tmp_path)
    assert_same_checkpoint(tmp_path / LAST, autoencoder_run / LAST)


@pytest.mark.slow
@pytest.mark.parametrize("encoded_run", [False], indirect=True, ids=["free"])
def test_a_run_behind_an_encoder_goes_on_bit_for_bit(
    videos, encoded_run, tmp_path
):
    shutil.copy(encoded_run / FIRST_EPOCH, tmp_path)
    settings = read_settings(encoded_run / LAST)
    train_in_process(settings, tmp_path)
    assert_same_checkpoint(tmp_path / LAST, encoded_run / LAST)


def test_a_frozen_encoder_stays_and_a_free_one_learns(
    autoencoder_run, encoded_run
):
    trained = read_datasets(autoencoder_run / LAST)
    early = read_datasets(encoded_run / FIRST_EPOCH)
    late = read_datasets(encoded_run / LAST)
    for role in ("teacher", "student"):
        names = [name for name in late if name.startswith(f"{role}/encoder/")]
        assert len(names) == 4
        for name in names:
            start = trained[name.replace(role, "autoencoder", 1)]
            stayed = np.array_equal(late[name], start)
            assert stayed == is_frozen(encoded_run), name
        name = f"{role}/hidden/dense_0/kernel"
        assert early[name].shape[0] == 2 * 4  # means and deviations
        assert not np.array_equal(early[name], late[name])


def test_optimizer_holds_no_state_of_a_frozen_encoder(encoded_run):
    datasets = read_datasets(encoded_run / LAST)
    held = any(
        name.startswith("optimizer/") and "encoder" in name for name in datasets
    )
    assert held != is_frozen(encoded_run)


def test_conversion_and_evaluation_need_no_word_of_the_encoder(
    reader, encoded_run, tmp_path
):
    joint, converted = encoded_run / LAST, tmp_path / "student.h5"
    convert(joint, converted)
    expected = evaluate_checkpoint(joint, "student", reader)
    found = evaluate_checkpoint(converted, "student", reader)
    for name in ("gap", "loss", "parameters", "macs"):
        assert found[name] == expected[name]
    network = load_network(converted, "student")
    encoder = network.model.encoder.get_weights()
    datasets = read_datasets(joint)
    np.testing.assert_array_equal(
        encoder[0], datasets["student/encoder/dense_0/kernel"]
    )
    assert found["macs"] == 10 * (16 * 8 + 8 * 4) + network.model.model.macs(10)


@pytest.mark.parametrize("encoded_run", [True], indirect=True, ids=["frozen"])
def test_finetuning_keeps_the_encoder_and_may_free_it(
    videos, encoded_run, tmp_path
):
    converted = tmp_path / "student.h5"
    convert(encoded_run / LAST, converted)
    settings = dataclasses.replace(
        read_settings(converted),
        initial_checkpoint=str(converted),
        encoder_checkpoint=None,
    )
    settings = keep_encoder(settings, None, False)
    run = TrainingRun(settings, RunOptions(str(tmp_path / "run")))
    name = "encoder/dense_0/kernel"
    start = read_datasets(converted)[f"student/{name}"]
    weight = run.trainer.groups["student"][name]
    np.testing.assert_array_equal(weight, start)
    assert run.train()
    assert not np.array_equal(weight, start)


def test_video_level_features_are_encoded_too(video_level_videos, tmp_path):
    settings = video_level_settings(video_level_videos, max_steps=3)
    train_in_process(autoencoder_settings(settings), tmp_path / "autoencoder")
    checkpoint = tmp_path / "autoencoder" / "checkpoint-00000003.h5"
    encoded = with_encoder(settings, str(checkpoint), None)
    assert encoded.student.freeze_encoder
    train_in_process(encoded, tmp_path / "student")
    datasets = read_datasets(tmp_path / "student" / checkpoint.name)
    assert datasets["student/classifier/kernel"].shape == (4, 10)


def test_what_does_not_fit_is_an_error(videos, autoencoder_run, student_run):
    settings = student_settings(videos)
    with pytest.raises(ValueError, match="--freeze_encoder needs"):
        with_encoder(settings, None, True)
    with pytest.raises(CheckpointError, match="holds no autoencoder"):
        with_encoder(settings, str(student_run / LAST), None)
    other = dataclasses.replace(settings.data, feature_sizes=(12, 5))
    other = dataclasses.replace(settings, data=other)
    with pytest.raises(CheckpointError, match=r"\(12, 4\).*\(12, 5\)"):
        with_encoder(other, str(autoencoder_run / LAST), None)
    with pytest.raises(ValueError, match="trained without an encoder"):
        keep_encoder(settings, str(autoencoder_run / LAST), None)
    with pytest.raises(ValueError, match="no student here, only the autoenc"):
        load_network(autoencoder_run / LAST, "student")
    changed = dataclasses.replace(
        autoencoder_settings(settings), autoencoder=AutoencoderSettings("8,5")
    )
    with pytest.raises(ValueError, match="encoder_sizes: 8,4 -> 8,5"):
        TrainingRun(changed, RunOptions(str(autoencoder_run)))


def test_without_an_encoder_nothing_is_changed(videos):
    settings = joint_settings(videos)
    assert with_encoder(settings, None, None) is settings


@pytest.mark.slow
def test_scripts_train_an_autoencoder_and_a_student_behind_it(videos, tmp_path):
    flags = [*training_flags(videos), "--max_steps=2"]
    run_script(
        "train_autoencoder",
        *flags,
        *to_flags(DATA_FLAGS),
        "--encoder_sizes=6,3",
        f"--train_dir={tmp_path / 'autoencoder'}",
    )
    checkpoint = tmp_path / "autoencoder" / "checkpoint-00000002.h5"
    done = run_script(
        "train",
        *flags,
        *network_flags(),
        "--regime=labels",
        f"--encoder_checkpoint={checkpoint}",
        "--freeze_encoder=false",
        f"--train_dir={tmp_path / 'student'}",
    )
    assert f"starting from the encoder of {checkpoint}" in done.stdout
    student = read_settings(tmp_path / "student" / checkpoint.name).student
    assert (student.encoder_sizes, student.freeze_encoder) == ("6,3", False)

"""The header of a run: what it says, and when it warns."""

import collections
import dataclasses
import shutil

import h5py
import pytest

from distill.checkpoints.checkpoint import write_checkpoint
from distill.data.pipeline import VideoReader
from distill.models.frame_budget import FrameBudget
from distill.settings.run_options import RunOptions
from distill.training.run_header import RunHeader
from distill.training.trainers import build_trainer
from tests.training.tiny_networks import (
    BOTH_TERMS,
    MAX_FRAMES,
    SCHEMA,
    TRAINING,
    make_network,
    network_settings,
    run_settings,
)

FREE_BYTES = 10**9


@pytest.fixture(autouse=True)
def disk(monkeypatch):
    """Sets the free room of every disk."""
    usage = collections.namedtuple("usage", "total free")
    full = usage(2 * FREE_BYTES, FREE_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)


def make_header(num_examples=100, *, every_n=2, **options):
    training = dataclasses.replace(TRAINING, num_epochs=3, max_steps=50)
    settings = run_settings(
        network_settings(FrameBudget.every(every_n)),
        training,
        teacher=network_settings(lstm_cells=20),
        distillation=BOTH_TERMS,
    )
    reader = VideoReader(SCHEMA, ["a-1.tfrecord", "a-2.tfrecord"], 5)
    options = RunOptions("runs/a", **options)
    trainer = build_trainer(settings)
    return RunHeader(settings, options, trainer, reader, num_examples, 50)


def count_parameters(role, **arguments):
    weights = make_network(role, **arguments).model.get_weights()
    return sum(weight.size for weight in weights)


def test_header_tells_networks_data_steps_and_checkpoints():
    header = make_header(keep_checkpoints=2)
    rows = dict(line.split(None, 1) for line in header.lines())
    teacher = count_parameters("teacher", lstm_cells=20)
    student = count_parameters("student", budget=FrameBudget.every(2))
    model = "HierarchicalLstmModel"
    megabytes = header.checkpoint_bytes / 1e6
    assert rows == {
        "teacher": f"{model}, {teacher:,} parameters, all {MAX_FRAMES} frames",
        "student": f"{model}, {student:,} parameters, 3 of {MAX_FRAMES} frames "
        "(every_n=2)",
        "device": "CPU",
        "data": "2 files, about 100 videos: unused",
        "steps": "about 50 (epochs: 3, steps of each: 20, videos a step: 5)",
        "checkpoints": f"{megabytes:.1f} MB each, the newest 2 are kept in "
        "runs/a",
    }


def test_size_of_a_checkpoint_is_that_of_its_datasets(tmp_path):
    header = make_header()
    path = tmp_path / "checkpoint.h5"
    groups = header.trainer.groups
    write_checkpoint(path, groups, header.settings, {"step": 1})
    sizes = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: sizes.append(getattr(item, "nbytes", 0))
        )
    assert header.checkpoint_bytes == sum(sizes) > 0


def test_a_small_student_of_few_frames_is_no_reason_to_warn():
    assert not list(make_header().warnings())


def test_a_network_that_dwarfs_the_data_is_a_warning():
    most = count_parameters("teacher", lstm_cells=20)
    assert not list(make_header(most // 1000 + 1).warnings())
    (warning,) = make_header(num_examples=1).warnings()
    assert f"{most:,} parameters, {most:,} for each of the videos" in warning


def test_a_student_of_all_frames_is_a_warning():
    (warning,) = make_header(every_n=1).warnings()
    assert f"The student sees all {MAX_FRAMES} frames" in warning


def test_checkpoints_that_do_not_fit_the_disk_are_a_warning():
    """Those kept, and the one that is written before the oldest is removed."""
    every_step = {
        "checkpoint_every_steps": 1,
        "checkpoint_every_epoch": False,
        "keep_checkpoints": 0,
    }
    header = make_header(**every_step)
    room = FREE_BYTES // header.checkpoint_bytes
    assert room > 52
    wide = dataclasses.replace(header, num_steps=room - 2)
    assert not list(wide.warnings())
    (warning,) = dataclasses.replace(header, num_steps=room).warnings()
    assert "1,000.0 MB are free" in warning
    bounded = dataclasses.replace(header.options, keep_checkpoints=3)
    kept = dataclasses.replace(header, num_steps=room, options=bounded)
    assert not list(kept.warnings())

"""Full disks: one clear line, and nothing half written.

The disks are real ones of a few bytes. Runs that a full disk stopped go on
once there is room, and end as undisturbed ones, bit for bit.
"""

import errno
import os
import re
import shutil

import keras
import numpy as np
import pytest
import stage_runs
from small_disk import fill, small_disk
from stage_runs import error_line, run_script, train_in_process
from stored_files import assert_same_checkpoint, checkpoint_steps

from distill.checkpoints.averaging import average_checkpoints
from distill.checkpoints.checkpoint import write_checkpoint
from distill.checkpoints.conversion import convert
from distill.datasets.synthetic import write_synthetic_data
from distill.evaluation.evaluate import Prediction
from distill.evaluation.inference import write_predictions
from distill.evaluation.metrics_files import write_metrics
from distill.metrics.score_store import ScoreStore
from distill.networks.ensemble_file import Ensemble, Member
from distill.settings.run_options import RunOptions
from distill.settings.synthetic import SyntheticSettings
from distill.system import atomic_files
from distill.system.atomic_files import replace_atomically, replace_directory
from distill.system.write_errors import WriteError
from distill.training.loop import TrainingRun

DISK_BYTES = 2**22
NAME = "checkpoint-00000015.h5"
FULL = r"cannot be written: No space left on device; 0\.0 MB are free there\.$"


@pytest.fixture
def disk():
    """Returns a directory on a disk of 4 MB."""
    with small_disk(DISK_BYTES) as directory:
        yield directory


def names(directory):
    return sorted(path.name for path in directory.rglob("*"))


def options(train_dir):
    return RunOptions(
        str(train_dir),
        checkpoint_every_steps=1,
        keep_checkpoints=0,
        log_every_steps=1,
    )


def test_disk_that_fills_in_a_run_stops_it_and_with_room_it_goes_on(
    video_level_videos, disk, tmp_path, monkeypatch
):
    settings = stage_runs.video_level_settings(video_level_videos)
    train_in_process(
        settings, tmp_path, checkpoint_every_steps=1, keep_checkpoints=0
    )
    monkeypatch.setattr(atomic_files, "check_room", lambda *_: None)
    size = (tmp_path / NAME).stat().st_size
    ballast = fill(disk, 5 * size + 5 * 4096)
    run = TrainingRun(settings, options(disk / "run"))
    with pytest.raises(WriteError, match=FULL) as caught:
        run.train()
    steps = checkpoint_steps(disk / "run")
    failed = f"{disk}/run/checkpoint-{len(steps) + 1:08d}.h5"
    assert str(caught.value).startswith(failed)
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= 2
    for step in steps:
        name = f"checkpoint-{step:08d}.h5"
        assert_same_checkpoint(disk / "run" / name, tmp_path / name)
    assert not [n for n in names(disk) if n.endswith(".tmp")]

    ballast.unlink()
    train_in_process(settings, disk / "run", checkpoint_every_steps=1)
    assert_same_checkpoint(disk / "run" / NAME, tmp_path / NAME)


def test_checkpoint_that_cannot_fit_is_not_begun(
    video_level_videos, disk, monkeypatch
):
    """The variables take 3 MB; the file would be a little larger."""
    settings = stage_runs.video_level_settings(video_level_videos)
    path = disk / "checkpoint-00000001.h5"
    variables = {"kernel": keras.Variable(np.ones((1000, 750), np.float32))}
    fill(disk, 2_998_272)
    monkeypatch.setattr(atomic_files, "_open_temporary", None)
    message = f"^{path} cannot be written: it takes 3.0 MB, 3.0 MB are free"
    with pytest.raises(WriteError, match=message):
        write_checkpoint(path, {"student": variables}, settings, {"step": 1})
    monkeypatch.undo()
    fill(disk, 3_100_672)
    write_checkpoint(path, {"student": variables}, settings, {"step": 1})
    assert path.stat().st_size > 3_000_000


def test_log_that_does_not_fit_is_named(video_level_videos, disk):
    settings = stage_runs.video_level_settings(video_level_videos)
    run = TrainingRun(settings, options(disk / "r"))
    fill(disk, 0)
    with pytest.raises(WriteError, match=rf"/r/(events|log\.jsonl) {FULL}"):
        run.train()


def predict(path, checkpoints):
    scores = np.random.default_rng(0).random((400, 20), np.float32)
    batch = Prediction([f"video{i}" for i in range(400)], scores, scores > 0.5)
    list(write_predictions(path, [batch] * 20, top_k=20))


def metrics(path, checkpoints):
    write_metrics(path, {f"metric_{index}": index for index in range(5000)})


def ensemble(path, checkpoints):
    names = [f"{index:09000d}.h5" for index in range(9)]
    members = tuple(Member(name, "student", 1.0) for name in names)
    Ensemble(members).write(path)


def export(path, checkpoints):
    with replace_directory(path, "card.json") as folder:
        (folder / "card.json").write_text("{}")
        for index in range(9):
            np.save(folder / f"{index}.npy", np.ones(1000))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (lambda path, files: convert(files[0], path), "student.h5"),
        (lambda path, files: average_checkpoints(files, path), "mean.h5"),
        (predict, "predictions.csv"),
        (metrics, "metrics.json"),
        (ensemble, "ensemble.json"),
        (export, "export"),
    ],
)
def test_result_that_does_not_fit_is_named_and_the_old_one_stays(
    joint_run, disk, monkeypatch, write, name
):
    monkeypatch.setattr(atomic_files, "check_room", lambda *_: None)
    checkpoints = [joint_run / f"checkpoint-{step:08d}.h5" for step in (14, 15)]
    path = disk / name
    if write is export:
        path.mkdir()
        (path / "card.json").write_text("old")
    else:
        path.write_text("old")
    fill(disk, 16384)
    before = names(disk)
    with pytest.raises(WriteError, match=re.escape(str(path)) + " " + FULL):
        write(path, checkpoints)
    assert names(disk) == before
    kept = path / "card.json" if write is export else path
    assert kept.read_text() == "old"


def test_synthetic_data_that_does_not_fit_goes_on_when_there_is_room(
    disk, tmp_path
):
    settings = SyntheticSettings(
        split="train", num_videos=40, num_shards=4, feature_sizes=(64, 8)
    )
    list(write_synthetic_data(settings, tmp_path))
    size = sum(path.stat().st_size for path in tmp_path.glob("*.tfrecord"))
    ballast = fill(disk, size // 2)
    with pytest.raises(WriteError, match=rf"-00004.tfrecord {FULL}"):
        list(write_synthetic_data(settings, disk / "data"))
    written = names(disk / "data")
    assert 1 < len(written) < 5
    assert not [name for name in written if name.startswith(".")]
    ballast.unlink()
    list(write_synthetic_data(settings, disk / "data"))
    for path in tmp_path.iterdir():
        assert (disk / "data" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.filterwarnings("error")
def test_scores_that_do_not_fit_say_so_once(disk, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    fill(disk, 8192)
    store = ScoreStore(megabytes=0)
    rows = np.ones((300, 37), np.float32)
    with pytest.raises(OSError, match=f"do not fit into {disk}: .*No space"):
        store.append(rows)
    del store
    assert shutil.disk_usage(disk).free == 8192


def test_disk_that_cannot_be_written_is_an_error_of_one_line(
    joint_checkpoint,
):
    with small_disk(DISK_BYTES, "ro") as disk:
        path = disk / "student.h5"
        message = f"{path} cannot be written: Read-only file system."
        with pytest.raises(WriteError, match=message):
            convert(joint_checkpoint, path)
        done = run_script(
            "convert",
            f"--checkpoint={joint_checkpoint}",
            f"--student_checkpoint={path}",
            status=1,
        )
        assert error_line(done) == f"ERROR: {message}"


def test_error_of_the_device_is_named(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "metrics.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    message = f"{path} cannot be written: Input/output error."
    with pytest.raises(WriteError, match=message):
        write_metrics(path, {})
    assert names(tmp_path) == ["metrics.json"]
    assert path.read_text() == "old"


def test_an_error_of_reading_another_file_is_not_one_of_writing(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="'missing'"),
        replace_atomically(tmp_path / "copy") as temporary,
    ):
        shutil.copy("missing", temporary)
    assert names(tmp_path) == []

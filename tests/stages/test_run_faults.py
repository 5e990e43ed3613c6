"""Faults from outside a run: changed files, other runs, clocks, signals."""

import os
import random
import shutil
import signal
import time

import pytest
import stage_runs
import tensorflow as tf
from stage_runs import (
    call_at_step,
    run_script,
    start_script,
    train_in_process,
    video_level_settings,
)
from stored_files import (
    assert_same_checkpoint,
    checkpoint_steps,
    read_log,
    read_records,
    write_records,
)

from distill.data.bad_records import BadRecordError
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.settings.run_options import RunOptions
from distill.system.directory_lock import DirectoryLock
from distill.system.write_errors import WriteError
from distill.training.loop import TrainingRun
from tests.hang_guard import HANG_SECONDS, wait_until

NAME = "checkpoint-00000015.h5"

# The process sends itself a signal after its first batch, or first artifact.
END_IN_SCORING = """
import os, signal
import distill.evaluation.evaluate
predict_videos = distill.evaluation.evaluate.predict_videos
def predict_and_end(network, reader, *sharing):
    for batch in predict_videos(network, reader, *sharing):
        yield batch
        os.kill(os.getpid(), signal.%s)
distill.evaluation.evaluate.predict_videos = predict_and_end
"""
END_IN_EXPORT = """
import os, signal
import distill.deployment.export as export
export.check_signatures = lambda *_: os.kill(os.getpid(), signal.%s)
"""


def test_locked_directory_is_left_as_it_is(
    video_level_videos, video_level_run, tmp_path
):
    shutil.copy(video_level_run / NAME, tmp_path)
    (tmp_path / "log.jsonl").write_text("kept\n")
    before = sorted(os.listdir(tmp_path))
    options = RunOptions(str(tmp_path), start_new_model=True)
    with DirectoryLock(tmp_path):
        with pytest.raises(ValueError, match=f"{tmp_path} is locked: process"):
            TrainingRun(video_level_settings(video_level_videos), options)
        assert sorted(os.listdir(tmp_path)) == sorted([*before, ".lock"])
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "log.jsonl").read_text() == "kept\n"


def test_directory_is_locked_from_the_start_to_the_end_of_a_run(
    video_level_videos, tmp_path, monkeypatch
):
    settings = video_level_settings(video_level_videos, max_steps=2)
    run = TrainingRun(settings, RunOptions(str(tmp_path)))
    seen = []

    def try_to_lock():
        with pytest.raises(ValueError, match="is locked"):
            DirectoryLock(tmp_path).acquire()
        seen.append(True)

    try_to_lock()
    call_at_step(monkeypatch, run, 1, try_to_lock)
    assert run.train()
    assert len(seen) == 2
    with DirectoryLock(tmp_path):
        pass


def test_run_that_cannot_start_unlocks_its_directory(
    video_level_videos, tmp_path
):
    train_in_process(
        video_level_settings(video_level_videos, max_steps=1), tmp_path
    )
    with pytest.raises(ValueError, match="other settings") as caught:
        TrainingRun(
            video_level_settings(video_level_videos, optimizer="SGD"),
            RunOptions(str(tmp_path)),
        )
    with DirectoryLock(tmp_path):
        assert caught.value is not None


def test_directory_removed_in_a_run_is_not_made_again(
    video_level_videos, tmp_path, monkeypatch
):
    directory = tmp_path / "run"
    run = TrainingRun(
        video_level_settings(video_level_videos), RunOptions(str(directory))
    )
    call_at_step(monkeypatch, run, 3, lambda: shutil.rmtree(directory))
    with pytest.raises(WriteError, match=f"{directory} was removed or repl"):
        run.train()
    assert not directory.exists()


def test_file_that_changes_stops_a_run_and_restored_the_run_goes_on(
    video_level_videos, video_level_run, tmp_path, monkeypatch
):
    """The file changes in the second epoch."""
    copies = tmp_path / "videos"
    shutil.copytree(video_level_videos, copies)
    settings = video_level_settings(copies)
    run = TrainingRun(settings, RunOptions(str(tmp_path / "run")))
    file = next(copies.glob("train-*"))
    whole = file.read_bytes()
    longer, size = whole + whole[:9], len(whole)
    call_at_step(monkeypatch, run, 6, lambda: file.write_bytes(longer))
    message = f"was changed while.*had {size:,} bytes, and has {size + 9:,}"
    with pytest.raises(BadRecordError, match=f"{file} {message}"):
        run.train()
    assert checkpoint_steps(tmp_path / "run") == [5]
    file.write_bytes(whole)
    train_in_process(settings, tmp_path / "run")
    assert_same_checkpoint(tmp_path / "run" / NAME, video_level_run / NAME)


@pytest.mark.parametrize("on_bad_record", ["fail", "skip"])
def test_file_that_vanishes_before_it_is_opened_ends_the_pass(
    videos, tmp_path, on_bad_record
):
    """Of many files, of which few are open at a time."""
    records = read_records(videos, "train")[:8]
    examples = list(map(tf.train.SequenceExample.FromString, records))
    for index in range(60):
        write_records(tmp_path / f"{index:02d}.tfrecord", examples)
    reader = VideoReader(
        stage_runs.frame_schema(),
        find_files(f"{tmp_path}/*"),
        batch_size=4,
        on_bad_record=on_bad_record,
    )
    batches = reader.read_once()
    next(batches)
    last = tmp_path / "59.tfrecord"
    last.unlink()
    message = f"^{last} cannot be read: {last}; No such file or directory.$"
    with pytest.raises(BadRecordError, match=message):
        list(batches)


def test_clock_that_jumps_changes_nothing(
    video_level_videos, video_level_run, tmp_path, monkeypatch
):
    jumps, clock = random.Random(0), time.time

    def jumping_clock():
        return clock() + jumps.uniform(-1e6, 1e6)

    monkeypatch.setattr(time, "time", jumping_clock)
    train_in_process(
        video_level_settings(video_level_videos),
        tmp_path,
        log_every_steps=2,
        checkpoint_every_minutes=1000.0,
    )
    assert_same_checkpoint(tmp_path / NAME, video_level_run / NAME)
    assert checkpoint_steps(tmp_path) == [5, 10, 15]
    lines = [read_log(path) for path in (tmp_path, video_level_run)]
    for line in lines[0]:
        assert 0 < line["examples_per_second"] < 1e6
        assert 0 <= line["share_waiting"] <= 1
    for line in (*lines[0], *lines[1]):
        del line["examples_per_second"], line["share_waiting"]
    assert lines[0] == lines[1]


@pytest.fixture
def scoring_flags(tmp_path):
    """Returns the flags of a script that needs no TensorFlow."""
    predictions, labels = tmp_path / "predictions.csv", tmp_path / "labels.csv"
    predictions.write_text("VideoId,LabelConfidencePairs\na,1 0.5\n")
    labels.write_text("VideoId,Labels\na,1\n")
    return [f"--predictions={predictions}", f"--labels={labels}"]


@pytest.mark.parametrize("flag", ["--top_k=3", "--helpfull"])
def test_closed_pipe_ends_a_script_without_a_trace(scoring_flags, flag):
    reader, writer = os.pipe()
    os.close(reader)
    flags = [*scoring_flags, flag]
    with start_script("score_predictions", *flags, stdout=writer) as process:
        os.close(writer)
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_output_that_cannot_be_written_is_an_error_of_one_line(scoring_flags):
    with (
        open("/dev/full", "w") as full,
        start_script(
            "score_predictions", *scoring_flags, stdout=full
        ) as process,
    ):
        errors = process.stderr.read()
    message = "standard output cannot be written: No space left on device."
    assert (process.returncode, errors) == (1, f"ERROR: {message}\n")


def test_sigterm_ends_writing_with_nothing_left_over(tmp_path):
    flags = [f"--output_dir={tmp_path}/data", "--num_train_videos=99999999"]
    flags += ["--feature_sizes=12,4", "--num_classes=10"]
    with start_script("make_synthetic_data", *flags) as process:
        try:
            wait_until(
                lambda: list(tmp_path.glob("data/.train-*.tmp")), process
            )
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=HANG_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 143
    assert errors == "Terminated.\n"
    assert os.listdir(tmp_path / "data") == ["settings_train.json"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "flag", "kind", "status"),
    [
        ("infer", "--output_file={}/out.csv", "SIGTERM", 143),
        ("infer", "--output_dir={}/out", "SIGHUP", 129),
        ("evaluate", "--metrics_file={}/out.json", "SIGTERM", 143),
        ("export", "--export_dir={}/out", "SIGTERM", 143),
    ],
)
def test_signal_ends_scoring_with_nothing_half_written(
    videos, student_checkpoint, tmp_path, script, flag, kind, status
):
    driver = END_IN_EXPORT if script == "export" else END_IN_SCORING
    done = run_script(
        script,
        f"--checkpoint={student_checkpoint}",
        f"--eval_data_pattern={videos}/validate-*.tfrecord",
        flag.format(tmp_path),
        "--batch_size=16",
        "--gpu=-1",
        driver=driver % kind,
        status=status,
    )
    assert done.stderr.splitlines()[-1] == "Terminated."
    assert "Traceback" not in done.stderr
    left = {path.name for path in tmp_path.rglob("*")}
    assert left <= {"out", "inference.json"}

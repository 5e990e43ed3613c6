"""The check of a data set as a user runs it: exit status, table, Ctrl-C."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
from stage_runs import (
    DATA_FLAGS,
    NUM_CLASSES,
    NUM_TRAIN_VIDEOS,
    error_line,
    run_script,
    start_script,
    to_flags,
)

from tests.hang_guard import HANG_SECONDS, wait_until


def check_flags(videos, output_dir, **changes):
    """Returns the flags of a check of the synthetic videos."""
    return to_flags(
        DATA_FLAGS
        | {
            "train_data_pattern": f"{videos}/train-*.tfrecord",
            "output_dir": output_dir,
            "num_processes": 1,
        }
        | changes
    )


@pytest.mark.slow
def test_exit_status_and_table_say_whether_all_is_well(videos, tmp_path):
    done = run_script("check_data", *check_flags(videos, tmp_path / "good"))
    assert f"All is well: {NUM_TRAIN_VIDEOS} records in" in done.stdout
    assert not done.stderr
    report = json.loads((tmp_path / "good" / "report.json").read_text())
    assert report["all_is_well"]
    assert report["splits"]["train"]["good"] == NUM_TRAIN_VIDEOS


@pytest.mark.slow
def test_what_is_bad_is_said_a_line_each(videos, tmp_path):
    (first, *_) = sorted(videos.glob("train-*.tfrecord"))
    cut = tmp_path / "cut.tfrecord"
    cut.write_bytes(first.read_bytes()[:-10])
    flags = check_flags(
        videos,
        tmp_path,
        eval_data_pattern=cut,
        num_classes=NUM_CLASSES - 1,
        num_processes=2,
    )
    done = run_script("check_data", *flags, status=1)
    assert "Something is bad: " in done.stdout
    assert "records, label outside the classes; for example " in done.stdout
    assert f"{cut}, record 23: the file is truncated" in done.stdout
    assert "train and eval: " in done.stdout
    assert not done.stderr


def test_a_pattern_is_needed(tmp_path):
    done = run_script("check_data", f"--output_dir={tmp_path}", status=1)
    assert error_line(done) == (
        "ERROR: Give a value to --train_data_pattern or --eval_data_pattern "
        "or --test_data_pattern."
    )


@contextlib.contextmanager
def blocked_check(videos, tmp_path):
    """Runs a check whose process waits for a file that nobody writes."""
    pipe = tmp_path / "endless.tfrecord"
    os.mkfifo(pipe)
    flags = check_flags(videos, tmp_path, train_data_pattern=pipe)
    process = start_script("check_data", *flags, start_new_session=True)
    with process:
        try:
            (child,) = wait_until(lambda: find_workers(process.pid), process)
            yield process, child, pipe
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def find_workers(parent: int) -> list[int]:
    """Returns the children that a process started to do work."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            status = (each / "stat").read_text().rsplit(")", 1)[1].split()
            command = (each / "cmdline").read_text()
        except OSError:
            continue
        if int(status[1]) == parent and "spawn_main" in command:
            found.append(int(each.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("role", ["all", "child"])
def test_ctrl_c_and_a_killed_process_end_the_check(role, videos, tmp_path):
    with blocked_check(videos, tmp_path) as (process, child, pipe):
        if role == "all":
            os.killpg(process.pid, signal.SIGINT)
        else:
            os.kill(child, signal.SIGKILL)
        _, errors = process.communicate(timeout=HANG_SECONDS)
    if role == "all":
        assert (process.returncode, errors) == (130, "Interrupted.\n")
    else:
        assert process.returncode == 1
        assert errors.startswith(f"ERROR: {pipe}: the process that read it")
        assert "signal 9 (SIGKILL)" in errors
    assert not Path(f"/proc/{child}").exists()
    assert not (tmp_path / "report.md").exists()

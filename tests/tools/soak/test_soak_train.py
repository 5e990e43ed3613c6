"""The soak test of training finds what it looks for."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from distill.checkpoints.checkpoint import checkpoint_path
from tools.soak.killed_run import LOG_EVERY_STEPS, TrainingSoak

STEPS = 50


@pytest.fixture
def soak(tmp_path):
    """Returns a test whose two runs have ended alike."""
    soak = TrainingSoak(tmp_path, None, seed=0)
    soak._num_steps = STEPS
    soak._memory = [400 << 20] * 40
    steps = range(LOG_EVERY_STEPS, STEPS + 1, LOG_EVERY_STEPS)
    lines = [json.dumps({"kind": "step", "step": step}) for step in steps]
    for folder in (soak._killed, soak._straight):
        (folder / "log.jsonl").write_text("\n".join(lines))
        for name in ("settings.json", "inputs.json"):
            (folder / name).write_text("{}")
        paths = [checkpoint_path(folder, step) for step in (30, 40, STEPS)]
        for path in [*paths, folder / "best.h5"]:
            write_checkpoint(path)
    return soak


def write_checkpoint(path, value=1.0):
    with h5py.File(path, "w") as file:
        for name in ("settings", "progress"):
            file.attrs[name] = np.bytes_("{}")
        file.attrs["format"] = np.bytes_("distill-checkpoint-1")
        file["student/kernel"] = [value]


def faults_of(soak):
    soak._compare()
    return soak.faults


def test_equal_runs_have_no_fault(soak):
    assert faults_of(soak) == []
    assert soak.summary()[-1] == ["faults", "0"]


def test_settings_of_the_best_may_differ(soak):
    """It may be older than the number of steps, which is chosen at the end."""
    with h5py.File(soak._killed / "best.h5", "r+") as file:
        del file.attrs["settings"]
        file.attrs["settings"] = np.bytes_('{"max_steps": 50}')
    assert faults_of(soak) == []


@pytest.mark.parametrize("name", ["best.h5", "checkpoint-00000050.h5"])
def test_other_weights_are_found(soak, name):
    write_checkpoint(soak._killed / name, 1.0 + 2**-23)
    assert faults_of(soak) == [f"{name} differs"]


def test_a_missing_file_is_found(soak):
    (soak._killed / "best.h5").unlink()
    assert faults_of(soak) == ["best.h5 is missing"]


def test_steps_that_are_missing_in_both_are_found(soak):
    for folder in (soak._killed, soak._straight):
        log = folder / "log.jsonl"
        log.write_text("\n".join(log.read_text().splitlines()[1:]))
    assert faults_of(soak) == ["the log lacks steps, or has some twice"]


def test_what_is_left_over_is_found(soak):
    (soak._killed / ".best.h5.0123456789ab.tmp").write_text("half")
    checkpoint_path(soak._killed, 20).write_text("old")
    assert faults_of(soak) == [
        "left over: .best.h5.0123456789ab.tmp",
        "other checkpoints than the newest are kept",
    ]


def test_memory_that_grows_is_found(soak):
    soak._memory = [(400 + n) << 20 for n in range(100)]
    assert faults_of(soak) == ["memory grew: 430 to 490 MiB"]


def test_a_broken_checkpoint_is_found_after_a_kill(soak):
    (soak._killed / "best.h5").write_bytes(b"\x89HDF")
    soak._check_files()
    (fault,) = soak.faults
    assert fault.startswith("broken after a kill: ")


@pytest.mark.nightly
def test_a_minute_of_kills_changes_nothing(tmp_path):
    """The command, with its own processes."""
    report = tmp_path / "report.md"
    command = [sys.executable, "-m", "tools.soak", "train", "--minutes=1"]
    done = subprocess.run(
        [*command, f"--work_dir={tmp_path}/soak", f"--report={report}"],
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.returncode == 0
    assert "| faults | 0 |" in report.read_text()

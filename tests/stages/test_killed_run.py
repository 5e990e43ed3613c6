"""A run that is killed loses nothing but the steps since its last checkpoint.

The run is killed four times, two of them inside the write of a checkpoint,
and compared with an uninterrupted one, bit for bit. The drills
(`test_drills.py`) kill runs at random moments.
"""

import re
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest
import stage_runs
from stage_runs import run_script
from stored_files import (
    assert_same_checkpoint,
    assert_same_datasets,
    checkpoint_steps,
    read_datasets,
    read_log,
)

NUM_EPOCHS = 6
TIMES = ("examples_per_second", "share_waiting")
LAST_STEP = NUM_EPOCHS * stage_runs.STEPS_PER_EPOCH

# Dies when the third checkpoint is half written: a checkpoint of the killed
# run holds more than 70 datasets and fewer than 100.
DIE_IN_WRITE = """
import os, signal, h5py
set_item, writes = h5py.Group.__setitem__, []
def set_item_or_die(group, name, value):
    writes.append(name)
    if len(writes) == 210:
        os.kill(os.getpid(), signal.SIGKILL)
    set_item(group, name, value)
h5py.Group.__setitem__ = set_item_or_die
"""

# Dies when a checkpoint is written and synced, but has no name yet.
DIE_BEFORE_RENAME = """
import os, signal
replace, targets = os.replace, []
def replace_or_die(source, target):
    if "checkpoint-" in str(target):
        targets.append(target)
    if len(targets) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replace_or_die
"""

# Dies in the first step after the first new checkpoint, before its end.
DIE_IN_STEP = """
import os, signal
import distill.training.loop
run = distill.training.loop.TrainingRun
train_step, replace, written = run._train_step, os.replace, []
def note_and_replace(source, target):
    replace(source, target)
    written.extend(["checkpoint-"] * ("checkpoint-" in str(target)))
def train_step_and_die(*arguments):
    train_step(*arguments)
    if written:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = note_and_replace
run._train_step = train_step_and_die
"""

# Dies when the run has said where it goes on, before any step.
DIE_IN_RESUMING = """
import os, signal
from distill.training.run_display import RunDisplay
say = RunDisplay.say
def say_and_die(display, message):
    say(display, message)
    if message.startswith("going on from"):
        os.kill(os.getpid(), signal.SIGKILL)
RunDisplay.say = say_and_die
"""

DRIVERS = (DIE_IN_WRITE, DIE_IN_STEP, DIE_IN_RESUMING, DIE_BEFORE_RENAME)


def killed_run_flags(videos: Path) -> list[str]:
    """Returns the flags of the joint run that is killed, and of its twin."""
    return [
        *stage_runs.network_flags(),
        *stage_runs.training_flags(videos),
        f"--num_epochs={NUM_EPOCHS}",
        "--checkpoint_every_steps=1",
        "--keep_checkpoints=0",
        "--log_every_steps=1",
    ]


@pytest.fixture(scope="module")
def uninterrupted_run(videos, tmp_path_factory) -> Path:
    """Returns the directory of the uninterrupted run."""
    directory = tmp_path_factory.mktemp("uninterrupted")
    flags = killed_run_flags(videos)
    run_script("train", *flags, f"--train_dir={directory}")
    return directory


class KilledRun(NamedTuple):
    """A killed run, copies of it after every kill, and its last output."""

    directory: Path
    copies: list[Path]
    last_output: str


@pytest.fixture(scope="module")
def killed_run(videos, tmp_path_factory) -> KilledRun:
    """Returns a run killed at four moments, two of them inside a write."""
    root = tmp_path_factory.mktemp("killed")
    directory = root / "run"
    flags = [*killed_run_flags(videos), f"--train_dir={directory}"]
    copies = []
    for driver in DRIVERS:
        run_script("train", *flags, driver=driver, status=-signal.SIGKILL)
        copies.append(root / f"after_kill_{len(copies)}")
        shutil.copytree(directory, copies[-1])
    done = run_script("train", *flags)
    return KilledRun(directory, copies, done.stdout)


@pytest.mark.slow
def test_killed_run_goes_on_and_ends_as_the_uninterrupted_one(
    killed_run, uninterrupted_run
):
    newest = checkpoint_steps(killed_run.copies[3])[-1]
    name = re.escape(str(killed_run.directory / f"checkpoint-{newest:08d}.h5"))
    _, start, *_ = killed_run.last_output.splitlines()
    assert re.match(f"going on from {name}: step {newest}, ", start)
    last = f"checkpoint-{LAST_STEP:08d}.h5"
    assert_same_checkpoint(
        killed_run.directory / last, uninterrupted_run / last
    )


@pytest.mark.slow
def test_every_checkpoint_that_a_kill_leaves_is_whole(
    killed_run, uninterrupted_run
):
    assert checkpoint_steps(killed_run.copies[0]) == [1, 2]
    for copy in killed_run.copies:
        for step in checkpoint_steps(copy):
            name = f"checkpoint-{step:08d}.h5"
            assert_same_datasets(
                read_datasets(copy / name),
                read_datasets(uninterrupted_run / name),
            )


@pytest.mark.slow
def test_killed_writes_leave_temporary_files_that_are_cleared(killed_run):
    for copy in (killed_run.copies[0], killed_run.copies[3]):
        leftovers = list(copy.glob(".checkpoint-*.tmp"))
        assert len(leftovers) == 1
        # The last step of an epoch is written in the epoch and at its end.
        newest = checkpoint_steps(copy)[-1]
        step = int(leftovers[0].name.split("-")[1][:8])
        assert step in (newest, newest + 1)
    assert not list(killed_run.copies[2].glob(".*.tmp"))
    assert not list(killed_run.directory.glob(".*.tmp"))


@pytest.mark.slow
def test_log_of_a_killed_run_holds_every_step_once(
    killed_run, uninterrupted_run
):
    logs = []
    for directory in (killed_run.directory, uninterrupted_run):
        lines = read_log(directory)
        logs.append(
            [{k: line[k] for k in line if k not in TIMES} for line in lines]
        )
    steps = [line["step"] for line in logs[0]]
    assert steps == list(range(1, LAST_STEP + 1))
    assert logs[0] == logs[1]

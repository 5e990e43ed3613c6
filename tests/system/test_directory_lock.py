"""One writer for a directory, however its process ends."""

import contextlib
import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from distill.system.directory_lock import LOCK_NAME, DirectoryLock
from distill.system.write_errors import WriteError
from tests.hang_guard import HANG_SECONDS

HOLD = f"""
import subprocess, sys
from distill.system.directory_lock import DirectoryLock
with DirectoryLock(sys.argv[1]):
    child = subprocess.Popen(["sleep", "{HANG_SECONDS}"], close_fds=False)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(directory):
    """Runs a process that holds the lock and has a child."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(process.stdout.readline())
    try:
        yield process
    finally:
        process.kill()
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_second_process_is_told_who_holds_the_directory(tmp_path):
    now = time.strftime("%Y-%m-%d", time.gmtime())
    with holder(tmp_path) as process:
        message = (
            rf"^{re.escape(str(tmp_path))} is locked: process {process.pid} "
            rf"on {re.escape(socket.gethostname())} has been writing it since "
            rf"{now} \d\d:\d\d:\d\d UTC\. Wait for its end, or give another "
            r"directory\.$"
        )
        with pytest.raises(ValueError, match=message):
            DirectoryLock(tmp_path).acquire()


def test_killed_process_blocks_nobody_though_its_child_lives(tmp_path):
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        assert (tmp_path / LOCK_NAME).exists()
        with DirectoryLock(tmp_path):
            pass
    assert not (tmp_path / LOCK_NAME).exists()


def test_lock_is_free_again_once_it_is_released_or_dropped(tmp_path):
    with (
        DirectoryLock(tmp_path),
        pytest.raises(ValueError, match="is locked: process"),
    ):
        DirectoryLock(tmp_path).acquire()
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    del lock
    with DirectoryLock(tmp_path):
        pass


def test_directory_made_for_the_lock_alone_goes_with_it(tmp_path):
    with DirectoryLock(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()
    with DirectoryLock(tmp_path / "kept"):
        (tmp_path / "kept" / "file").touch()
    assert (tmp_path / "kept" / "file").exists()


def test_lock_file_that_was_removed_while_it_was_opened_is_not_taken(
    tmp_path, monkeypatch
):
    """As another process does that gives the lock up just then."""
    flock, removed = fcntl.flock, []

    def remove_first(descriptor, operation):
        if not removed:
            removed.append(os.fstat(descriptor).st_ino)
            (tmp_path / LOCK_NAME).unlink()
            (tmp_path / LOCK_NAME).touch()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with DirectoryLock(tmp_path):
        assert (tmp_path / LOCK_NAME).stat().st_ino != removed[0]
        monkeypatch.undo()
        with pytest.raises(ValueError, match="is locked"):
            DirectoryLock(tmp_path).acquire()


def test_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, capsys):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with DirectoryLock(tmp_path):
        pass
    assert capsys.readouterr().out == (
        f"WARNING: {tmp_path}: its file system has no locks (No locks "
        "available); nothing keeps a second run out of it.\n"
    )


def test_directory_that_was_replaced_is_noticed(tmp_path):
    directory = tmp_path / "run"
    with DirectoryLock(directory) as lock:
        lock.check()
        directory.rename(tmp_path / "moved")
        directory.mkdir()
        with pytest.raises(WriteError, match="run was removed or replaced"):
            lock.check()
        (directory / LOCK_NAME).touch()
    assert (directory / LOCK_NAME).exists()


def test_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "run"
    with pytest.raises(WriteError, match=f"{path} cannot be written: Not a d"):
        DirectoryLock(path).acquire()

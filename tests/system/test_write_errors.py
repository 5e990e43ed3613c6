"""Errors of writing: one line with the path, the reason and what to do."""

import contextlib
import errno
import os

import pytest
import tensorflow as tf

from distill.system.atomic_files import replace_atomically, replace_directory
from distill.system.directory_lock import DirectoryLock
from distill.system.write_errors import WriteError, name_write_errors

ADVICE = {
    errno.EXDEV: "give a name in a folder that lies on one",
    errno.ENOTEMPTY: "another process writes there",
    errno.EBUSY: "perhaps as a mount point",
    errno.ETXTBSY: "it is a program that runs",
    errno.ESTALE: "mount it again",
    errno.ENAMETOOLONG: "give a shorter one",
    errno.ELOOP: "its links lead in a circle",
    errno.EMFILE: "`ulimit -n`",
    errno.ENFILE: "end other programs",
    errno.EMLINK: "give another one",
}
# The reason says it all.
REASONS = [errno.EIO, errno.EACCES, errno.ENOENT]
PLAIN = (errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EDQUOT)


def fail_to_rename(monkeypatch, number):
    """Makes every renaming fail; returns the names that it was given."""
    names = []

    def fail(source, target):
        names.append((str(source), str(target)))
        raise OSError(
            number, os.strerror(number), str(source), None, str(target)
        )

    monkeypatch.setattr(os, "replace", fail)
    return names


@pytest.mark.parametrize("number", ADVICE, ids=errno.errorcode.get)
def test_a_file_that_cannot_be_renamed_says_both_names_and_what_to_do(
    tmp_path, monkeypatch, number
):
    path = tmp_path / "file.json"
    path.write_text("old")
    names = fail_to_rename(monkeypatch, number)
    with (
        pytest.raises(WriteError) as error,
        replace_atomically(path) as temporary,
    ):
        temporary.write_text("new")
    ((source, target),) = names
    reason = f"{os.strerror(number)} in renaming {source} to {target} ("
    text = str(error.value)
    assert text.startswith(f"{path} cannot be written: {reason}")
    assert ADVICE[number] in text
    assert "\n" not in text
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOTEMPTY])
def test_a_directory_that_cannot_be_renamed_stays(
    tmp_path, monkeypatch, number
):
    path = tmp_path / "export"
    path.mkdir()
    (path / "mark").write_text("old")
    fail_to_rename(monkeypatch, number)
    with (
        pytest.raises(WriteError, match=ADVICE[number]) as error,
        replace_directory(path, "mark") as temporary,
    ):
        (temporary / "mark").write_text("new")
    assert f"in renaming {path} to " in str(error.value)
    assert (path / "mark").read_text() == "old"


@pytest.mark.parametrize("number", PLAIN, ids=errno.errorcode.get)
def test_reasons_that_need_no_advice_stand_alone(tmp_path, number):
    with pytest.raises(WriteError) as error, name_write_errors(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path))
    start = f"{tmp_path} cannot be written: {os.strerror(number)}"
    assert str(error.value).startswith(start)
    assert "(" not in str(error.value)


def test_names_that_the_system_refuses_are_said(tmp_path):
    """The system's own errors."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cases = {
        tmp_path / "loop" / "file": "loop is no folder: give another name",
        tmp_path / ("x" * 250): "give a shorter one; while it is written",
    }
    for path, advice in cases.items():
        with pytest.raises(WriteError, match=advice), replace_atomically(path):
            pass


def test_errors_of_other_files_are_not_changed(tmp_path):
    error = OSError(errno.ELOOP, os.strerror(errno.ELOOP), "/elsewhere")
    with (
        pytest.raises(OSError, match="elsewhere") as raised,
        name_write_errors(tmp_path / "file"),
    ):
        raise error
    assert raised.value is error


@pytest.mark.parametrize("code", REASONS)
@pytest.mark.parametrize("name", ["a.bin", ".a.bin.0a1b2c.tmp"])
def test_an_error_of_tensorflow_is_that_of_the_file_it_names(
    code, name, tmp_path
):
    words = f"{tmp_path / name}; {os.strerror(code)}"
    message = f"a.bin cannot be written: {os.strerror(code)}.$"
    with (
        pytest.raises(WriteError, match=message),
        name_write_errors(tmp_path / "a.bin"),
    ):
        raise tf.errors.UnknownError(None, None, words)


def test_tensorflow_s_error_of_another_file_is_not_changed(tmp_path):
    words = f"{tmp_path}/other; {os.strerror(errno.ENOENT)}"
    with (
        pytest.raises(tf.errors.NotFoundError),
        name_write_errors(tmp_path / "a.bin"),
    ):
        raise tf.errors.NotFoundError(None, None, words)


def test_events_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "events").write_text("no directory")
    with (
        pytest.raises(WriteError, match="events cannot be written: "),
        name_write_errors(tmp_path / "events"),
    ):
        tf.summary.create_file_writer(str(tmp_path / "events/train"))


@pytest.mark.parametrize("code", REASONS)
def test_a_failing_rename_names_the_file_that_stays(
    code, tmp_path, monkeypatch
):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(old, new):
        raise OSError(code, os.strerror(code), str(old), None, str(new))

    monkeypatch.setattr(os, "replace", fail)
    message = f"^{path} cannot be written: {os.strerror(code)}.$"
    with (
        pytest.raises(WriteError, match=message),
        replace_atomically(path) as t,
    ):
        t.write_text("new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_closing_a_lock_changes_nothing(tmp_path, monkeypatch):
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    close = os.close

    def fail(descriptor):
        close(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", fail)
        lock.__exit__()
    with DirectoryLock(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_file_system_may_be_unable_to_sync_directories(
    code, tmp_path, monkeypatch
):
    sync = os.fsync

    def fail(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    fails = pytest.raises(WriteError, match="Input/output error")
    with (
        contextlib.nullcontext() if code == errno.EINVAL else fails,
        replace_atomically(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"

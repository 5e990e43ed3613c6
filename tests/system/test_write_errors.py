"""Errors of writing: one line with the path, the reason and what to do."""

import errno
import os

import pytest

from distill.system.atomic_files import replace_atomically, replace_directory
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

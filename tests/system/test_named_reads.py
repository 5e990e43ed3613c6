"""Errors of reading name the file, as those of opening it do."""

import errno
import os

import h5py
import pytest

from distill.checkpoints.file_checks import (
    CheckpointError,
    open_checkpoint,
    refuse_damage,
)
from distill.datasets.array_sources import open_arrays
from distill.evaluation.prediction_files.conversion import convert_predictions
from distill.evaluation.prediction_files.files import (
    read_labels,
    read_predictions,
)
from distill.evaluation.prediction_files.matched_files import (
    MatchedPredictions,
)
from distill.evaluation.prediction_files.segment_files import read_header
from distill.networks.ensemble_file import Ensemble
from distill.system import hdf5_files
from distill.system.hdf5_files import open_hdf5_file
from distill.system.named_reads import read_text
from distill.system.small_files import read_small_text

# A regular file whose first byte nobody can read: Input/output error.
UNREADABLE = "/proc/self/mem"

pytestmark = pytest.mark.skipif(
    not os.path.exists(UNREADABLE), reason=f"there is no {UNREADABLE} here"
)


@pytest.mark.parametrize(
    "read",
    [
        read_text,
        read_small_text,
        read_header,
        Ensemble.read,
        lambda path: list(read_predictions([path])),
        lambda path: read_labels([path]),
        lambda path: MatchedPredictions([path, path]),
    ],
)
def test_a_file_that_cannot_be_read_is_named(read):
    reason = os.strerror(errno.EIO)
    with pytest.raises((OSError, ValueError)) as caught:
        read(UNREADABLE)
    assert reason in str(caught.value)
    assert UNREADABLE in str(caught.value)


def test_a_failing_input_is_not_taken_for_the_output(tmp_path):
    output = tmp_path / "converted.csv"
    with pytest.raises(OSError, match=UNREADABLE) as caught:
        convert_predictions([UNREADABLE], output)
    assert str(output) not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_manifest_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "manifest.csv"
    path.symlink_to(UNREADABLE)
    with pytest.raises(OSError, match=str(path)):
        list(open_arrays(path, ()))


def test_a_text_that_is_none_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc\xff")
    with pytest.raises(ValueError, match=rf"{path} is no UTF-8 text \(byte 3"):
        read_text(path)


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.EACCES])
def test_a_checkpoint_that_cannot_be_read_is_not_called_damaged(
    code, tmp_path, monkeypatch
):
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()

    def fail(*arguments, **options):
        raise OSError(code, "errno and words of the HDF5 library")

    monkeypatch.setattr(hdf5_files, "_ReadFile", fail)
    words = f"^{path} cannot be read: {os.strerror(code)}.$"
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(path)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS])
def test_hdf5_files_are_read_where_the_file_system_has_no_locks(
    code, tmp_path, monkeypatch
):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["values"] = [1, 2]
    opened = h5py.File

    def fail_to_lock(*arguments, locking=True):
        if locking:
            raise OSError(code, "unable to lock file")
        return opened(*arguments, locking=False)

    monkeypatch.setattr(hdf5_files, "_ReadFile", fail_to_lock)
    with open_hdf5_file(path) as file:
        assert file["values"][()].tolist() == [1, 2]


def test_an_error_of_closing_an_hdf5_file_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["values"] = [1, 2]

    def fail(self):
        raise RuntimeError("Can't decrement id ref count (errno = 4)")

    with open_hdf5_file(path) as file, monkeypatch.context() as patched:
        patched.setattr(h5py.File, "close", fail)
        assert file["values"][()].tolist() == [1, 2]
        file.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Unable (time = Mon\n, errno = 5, error", "read: Input/output error"),
        ("bad symbol table", r"it is damaged \(bad symbol table\)"),
    ],
)
def test_the_system_s_error_is_found_in_any_error_of_h5py(text, words):
    with pytest.raises(CheckpointError, match=words), refuse_damage("a.h5"):
        raise RuntimeError(text)

"""Paths of users: local names, URLs, and files that are uploaded whole."""

import contextlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from distill.system import storage, uploads
from distill.system.atomic_files import replace_atomically, replace_directory
from distill.system.directory_lock import DirectoryLock
from distill.system.hdf5_files import new_hdf5_file, open_hdf5_file
from distill.system.small_files import read_small_text
from distill.system.storage import (
    check_urls,
    join,
    list_files,
    local_copy,
    make_directory,
    place_of,
    relative_name,
    remove_directory,
    to_path,
)
from distill.system.uploads import WorkingDirectory
from distill.system.write_errors import WriteError, free_bytes
from tests.cloud_servers import gs_bucket, s3_bucket


@pytest.fixture(scope="module", params=["ram", "s3", "gs"])
def bucket(request):
    """Returns the URL of a folder of each kind of storage."""
    pytest.importorskip("upath")
    with contextlib.ExitStack() as stack:
        if request.param == "ram":
            yield "ram://bucket"
        else:
            servers = {"s3": s3_bucket, "gs": gs_bucket}
            yield stack.enter_context(servers[request.param]())


@pytest.fixture
def folder(bucket, request):
    """Returns the path of a folder of the test's own."""
    return to_path(f"{bucket}/{request.node.originalname}")


def write(path, text):
    with replace_atomically(path) as temporary:
        temporary.write_text(text)


@pytest.mark.parametrize(
    "name",
    ["run", "run:1", "a:b/c", "C:\\runs\\x", "C:/runs", "1s3://x", "x/s3://y"],
)
def test_names_without_a_scheme_are_local(name):
    assert to_path(name) == Path(name)
    assert type(to_path(name)) is type(Path(name))
    assert not storage.is_url(name)


def test_file_urls_are_local():
    assert to_path("file:///tmp/a b") == Path("/tmp/a b")
    assert to_path("file://localhost/tmp/a") == Path("/tmp/a")
    assert place_of("file:///tmp/../tmp/a") == os.path.realpath("/tmp/a")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch://x/y", "nosuch:// is not supported. Give a local path, or a"),
        ("NOSUCH://x", "nosuch:// is not supported"),
        ("http://host/x", "http:// is not supported"),
        ("gs:/bucket/run", "is a broken URL"),
        ("S3:/bucket/run", "is a broken URL"),
        (Path("s3://bucket/run"), "A pathlib.Path cannot hold a URL"),
        ("file://folder/x", "is a broken URL"),
        ("file:/tmp/x", "is a broken URL"),
    ],
)
def test_what_is_no_usable_url_is_refused(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for function in (to_path, replace_atomically_at, replace_directory_at):
        with pytest.raises(ValueError, match=message):
            function(name)
    assert os.listdir(tmp_path) == []


def replace_atomically_at(name):
    write(name, "lost")


def replace_directory_at(name):
    with replace_directory(name):
        pass


@pytest.mark.parametrize("module", ["upath", "s3fs"])
def test_a_missing_package_is_named(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    message = (
        rf"^'s3://b/x': s3:// needs the package {module}: `pip install -e "
        r".\[cloud\]` installs it.$"
    )
    with pytest.raises(ValueError, match=message):
        to_path("s3://b/x")


def test_records_are_of_schemes_that_tensorflow_reads(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    check_urls("/data/a*,gs://bucket/b*,ram://c", records=True)
    with pytest.raises(ValueError, match="it does not read s3://"):
        check_urls("gs://bucket/b*,s3://bucket/c*", records=True)


def test_a_file_is_written_and_read_back(folder):
    make_directory(folder)
    path = folder / "runs" / "a.txt"
    write(path, "old")
    write(path, "one\ntwo\n")
    write(folder / "b.csv", "b")
    assert path.read_text(encoding="utf-8") == "one\ntwo\n"
    with path.open("rb") as file:
        assert list(file) == [b"one\n", b"two\n"]
    assert path.stat().st_size == 8
    assert [p.is_file() for p in (path, path.parent, folder / "c")] == [
        *(True, False, False)
    ]
    assert path.parent.is_dir()
    assert folder.is_dir()
    assert sorted(p.name for p in folder.iterdir()) == ["b.csv", "runs"]
    assert list_files(f"{folder}/*.csv") == [f"{folder}/b.csv"]
    assert list_files(f"{folder}/*") == [f"{folder}/b.csv"]
    assert list_files(f"{folder}/r*/?.txt") == [str(path)]
    assert str(to_path(str(path))) == str(path)
    assert free_bytes(path) == -1
    path.unlink()
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        path.read_text()
    remove_directory(folder)
    assert not folder.exists()


def test_names_in_a_folder_may_be_whole_urls(folder):
    path = folder / "a.h5"
    assert join(folder, "a.h5") == path
    assert join(Path("/runs"), relative_name(path, Path("/runs"))) == path
    assert join(Path("/runs"), "a.h5") == Path("/runs/a.h5")
    assert relative_name(Path("/runs/a.h5"), Path("/runs/b")) == "../a.h5"
    assert place_of(path) == str(path) == place_of(str(path))


def test_a_failed_body_leaves_the_old_file(folder):
    write(folder / "a.txt", "old")
    with contextlib.ExitStack() as body:
        body.enter_context(pytest.raises(KeyboardInterrupt))
        temporary = body.enter_context(replace_atomically(folder / "a.txt"))
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert (folder / "a.txt").read_text() == "old"


@pytest.fixture
def broken_upload(bucket, monkeypatch):
    """Breaks an upload's connection once it has begun."""

    async def fail(*_, **__):
        raise ConnectionResetError("the connection broke")

    if bucket.startswith("s3"):
        s3fs = pytest.importorskip("s3fs")
        call = s3fs.S3FileSystem._call_s3

        async def call_or_fail(self, method, *arguments, **options):
            if method in ("put_object", "upload_part"):
                await fail()
            return await call(self, method, *arguments, **options)

        monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", call_or_fail)
    elif bucket.startswith("gs"):
        core = pytest.importorskip("gcsfs.core")
        monkeypatch.setattr(core, "simple_upload", fail)
    else:
        import tensorflow as tf

        class BrokenFile(tf.io.gfile.GFile):
            def write(self, block):
                super().write(block[: len(block) // 2])
                if block:
                    raise tf.errors.AbortedError(None, None, "it broke")

        monkeypatch.setattr(tf.io.gfile, "GFile", BrokenFile)


def test_a_broken_upload_leaves_the_old_file_whole(folder, request):
    write(folder / "a.txt", "old")
    request.getfixturevalue("broken_upload")
    with pytest.raises(WriteError, match=r"a\.txt cannot be written: .*broke"):
        write(folder / "a.txt", "a new and longer text")
    request.getfixturevalue("monkeypatch").undo()
    assert (folder / "a.txt").read_text() == "old"
    assert [p.name for p in folder.iterdir()] == ["a.txt"]


def test_an_hdf5_file_keeps_its_name(folder):
    path = folder / "a.h5"
    with replace_atomically(path) as temporary, new_hdf5_file(temporary) as new:
        new["group/values"] = np.arange(5)
    with open_hdf5_file(path) as file:
        assert file.filename == str(path)
        assert file["group/values"].file.filename == str(path)
        np.testing.assert_array_equal(file["group/values"], np.arange(5))
    write(path, "no HDF5")
    with pytest.raises(OSError, match="file signature not found"):
        open_hdf5_file(path)
    with pytest.raises(FileNotFoundError):
        open_hdf5_file(folder / "b.h5")


def write_export(path, name):
    with replace_directory(path, "card.json") as temporary:
        (temporary / "model" / "variables").mkdir(parents=True)
        (temporary / "model" / "variables" / "0").write_text(name)
        (temporary / f"{name}.txt").write_text(name)
        (temporary / "card.json").write_text(name)


def files_below(path):
    with local_copy(path) as copy:
        return {
            file.relative_to(copy).as_posix(): file.read_text()
            for file in copy.rglob("*")
            if file.is_file()
        }


def expected_export(name):
    return {
        name_of_file: name
        for name_of_file in ("model/variables/0", f"{name}.txt", "card.json")
    }


def test_a_directory_is_replaced_whole(folder):
    for name in ("first", "second"):
        write_export(folder, name)
        assert files_below(folder) == expected_export(name)
    with pytest.raises(ValueError, match="is not empty: give a new directory"):
        replace_directory_at(folder)
    assert files_below(folder) == expected_export("second")


def test_an_interrupted_upload_of_a_directory_is_not_taken_for_whole(
    folder, monkeypatch
):
    write_export(folder, "first")
    calls = []

    def upload_two(local, path):
        calls.append(local)
        if len(calls) > 2:
            raise KeyboardInterrupt
        storage.upload(local, path)

    monkeypatch.setattr(uploads, "upload", upload_two)
    with pytest.raises(KeyboardInterrupt):
        write_export(folder, "second")
    monkeypatch.undo()
    assert not (folder / "card.json").exists()
    with pytest.raises(
        ValueError, match="is not whole: its upload goes on, or"
    ):
        files_below(folder / "model")
    write_export(folder, "third")
    assert files_below(folder) == expected_export("third")


def test_growing_files_are_uploaded_whole_and_go_on(folder):
    write(folder / "log.jsonl", "1\n")
    for step in (2, 4):
        files = WorkingDirectory(folder, "log.jsonl")
        (files.local / "events").mkdir()
        with (files.local / "log.jsonl").open("a") as log:
            log.write(f"{step}\n")
            log.flush()
            (files.local / "events" / f"of_{step}").write_text("event")
            files.upload()
            uploaded = (folder / "log.jsonl").read_text()
            assert uploaded.endswith(f"{step}\n")
            log.write(f"{step + 1}\n")
        assert (folder / "log.jsonl").read_text() == uploaded
        files.close()
        assert not files.local.exists()
    assert files_below(folder) == {
        "log.jsonl": "1\n2\n3\n4\n5\n",
        "events/of_2": "event",
        "events/of_4": "event",
    }


def test_the_lock_of_a_directory_is_a_warning(folder, capsys):
    with DirectoryLock(folder) as lock, DirectoryLock(folder):
        lock.check()
        lock.acquire()
    assert capsys.readouterr().out.splitlines() == 2 * [
        f"WARNING: {folder}: cloud storage has no locks; nothing keeps a "
        "second run out of it."
    ]
    assert not folder.exists()


def test_a_bucket_that_is_missing_is_named(bucket):
    if bucket.startswith("ram"):
        pytest.skip("ram:// has no buckets")
    scheme = bucket.partition("://")[0]
    with pytest.raises(
        WriteError, match=f"^{scheme}://none/a.txt cannot be written: "
    ):
        write(f"{scheme}://none/a.txt", "")


def test_a_missing_small_file_is_named_by_its_url(folder):
    with pytest.raises(FileNotFoundError) as raised:
        read_small_text(folder / "card.json")
    assert raised.value.filename == f"{folder}/card.json"


@pytest.mark.parametrize(
    ("directory", "warned"),
    [("s3://b/x", True), ("gs://b/x", False), ("x", False), ("run:1", False)],
)
def test_records_that_will_not_be_read_are_warned_of(directory, warned, capsys):
    storage.warn_of_records(directory)
    says = f"WARNING: {directory}: TensorFlow does not read s3://; copy"
    assert capsys.readouterr().out.startswith(says) == warned


@pytest.mark.parametrize("missing", ["botocore", "gcsfs", "google", "builtins"])
def test_errors_of_the_libraries_are_known_by_their_package(missing):
    error = type("LostError", (Exception,), {"__module__": f"{missing}.x"})
    reason = storage.storage_reason(error("no\n credentials."))
    expected = None if missing == "builtins" else "LostError: no credentials"
    assert reason == expected

"""Downloads from a server that breaks off, lies, is slow or says no."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from distill.datasets import download as downloads
from distill.datasets.download import Download, Patience
from distill.datasets.download_plan import (
    Source,
    choose_files,
    local_name,
    parse_plan,
)
from tests.datasets.plan_server import PARTITION, serve_files
from tests.hang_guard import HANG_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
# A server that says nothing for so long is given up.
SILENCE_SECONDS = 3.0
QUICK = Patience(HANG_SECONDS, attempts=3, hash_attempts=2, first_wait=0.01)


@pytest.fixture
def server():
    with serve_files(6) as running:
        yield running


def download(server, directory, shard=None, jobs=2, patience=QUICK):
    """Downloads all; returns the result and the lines said."""
    lines = []
    source = Source(PARTITION, "us", server.address)
    loader = Download(source, directory, shard, jobs, patience)
    return loader.run(lines.append), lines


def assert_all_there(server, directory):
    for index, contents in enumerate(server.files.values()):
        path = directory / f"train{index:04d}.tfrecord"
        assert path.read_bytes() == contents, path
    assert not list(directory.glob(".*.part"))


def test_the_files_get_numbers_for_names_and_the_plan_is_kept(server, tmp_path):
    result, lines = download(server, tmp_path / "a" / "b")
    assert (result.num_present, result.num_fetched) == (0, 6)
    assert result.num_bytes == 6 * 5000
    assert not result.failed
    assert_all_there(server, tmp_path / "a" / "b")
    plan = tmp_path / "a" / "b" / "2_frame_train_download_plan.json"
    assert plan.read_bytes() == server.plan
    assert len(lines) == 6
    assert "fetched train0000.tfrecord (0.0 MB), " in "".join(lines)


def test_another_call_fetches_what_lacks_alone(server, tmp_path):
    download(server, tmp_path)
    (tmp_path / "train0002.tfrecord").unlink()
    (tmp_path / "train0003.tfrecord").write_bytes(b"x" * 5000)
    before = server.served.copy()
    result, _ = download(server, tmp_path)
    assert (result.num_present, result.num_fetched) == (4, 2)
    assert server.served - before == {
        "trainac.tfrecord": 5000,
        "trainad.tfrecord": 5000,
    }
    assert server.requests["plan"] == [None]
    assert_all_there(server, tmp_path)


def test_files_known_to_be_right_are_not_read_again(
    server, tmp_path, monkeypatch
):
    download(server, tmp_path)
    os.utime(tmp_path / "train0004.tfrecord")
    read, true_hash = [], downloads.hash_file
    monkeypatch.setattr(
        "distill.datasets.download.hash_file",
        lambda path: read.append(path.name) or true_hash(path),
    )
    for _ in range(2):
        result, _ = download(server, tmp_path)
        assert result.num_present == 6
    assert read == ["train0004.tfrecord"]


@pytest.mark.parametrize(
    ("faults", "asked"),
    [
        # No byte is sent twice.
        (
            ["cut"] * 4,
            [None, *(f"bytes={n}-" for n in (2500, 3750, 4375, 4687))],
        ),
        (["cut", "ignore range"], [None, "bytes=2500-"]),
        (["corrupt"], [None, None]),
        (["503", "429"], [None, None, None]),
        (["silent after 1024"], [None, "bytes=1024-"]),
    ],
    ids=["cut", "without ranges", "corrupt", "busy", "silent"],
)
def test_a_file_with_passing_faults_is_fetched(server, tmp_path, faults, asked):
    server.faults["trainab.tfrecord"] = faults
    patience = QUICK
    if faults[0].startswith("silent"):
        patience = dataclasses.replace(QUICK, timeout=SILENCE_SECONDS)
    result, _ = download(server, tmp_path, patience=patience)
    assert not result.failed
    assert_all_there(server, tmp_path)
    assert server.requests["trainab.tfrecord"] == asked


@pytest.mark.parametrize(
    ("faults", "says", "num_requests", "num_kept"),
    [
        (
            ["cut", "always 503"],
            r"the server answered 503 .*\(3 times; ",
            4,
            2500,
        ),
        (["always cut anew"], "broken off after 2,500 of 5,000 bytes", 4, 2500),
        (
            ["always corrupt"],
            f"its MD5 hash is {hashlib.md5(bytes(5000)).hexdigest()}, the plan "
            r"says \w+ \(2 times; ",
            2,
            None,
        ),
        (["always 404"], r"the server answered 404 .*\(http", 1, 0),
    ],
    ids=["no further", "always anew", "corrupt", "missing"],
)
def test_a_file_with_lasting_faults_is_given_up_and_named(
    server, tmp_path, faults, says, num_requests, num_kept
):
    server.faults["trainab.tfrecord"] = faults
    result, lines = download(server, tmp_path)
    assert result.num_fetched == 5
    assert list(result.failed) == ["train0001.tfrecord"]
    problem = result.failed["train0001.tfrecord"]
    assert re.search(says, problem)
    assert f"{server.address}/{PARTITION}/trainab.tfrecord" in problem
    assert f"FAILED train0001.tfrecord: {problem}" in lines
    assert len(server.requests["trainab.tfrecord"]) == num_requests
    assert not (tmp_path / "train0001.tfrecord").exists()
    kept = [path.stat().st_size for path in tmp_path.glob(".*.part")]
    assert kept == [num_kept] * (num_kept is not None)


def test_a_part_of_another_file_is_found_out(server, tmp_path):
    (tmp_path / ".train0000.tfrecord.part").write_bytes(b"z" * 4000)
    (tmp_path / ".train0001.tfrecord.part").write_bytes(b"z" * 9000)
    (tmp_path / "train0002.tfrecord").write_bytes(
        server.files["trainac.tfrecord"][:1200]
    )
    result, _ = download(server, tmp_path)
    assert not result.failed
    assert_all_there(server, tmp_path)
    assert server.requests["trainaa.tfrecord"] == ["bytes=4000-", None]
    assert server.requests["trainab.tfrecord"] == ["bytes=9000-", None]
    # What another downloader left under the file's name is continued.
    assert server.requests["trainac.tfrecord"] == ["bytes=1200-"]


def test_no_server_is_an_error_of_one_line(tmp_path):
    with serve_files(1) as gone:
        pass
    with pytest.raises(ValueError, match="The plan of 2/frame/train cannot be"):
        download(gone, tmp_path)


def test_a_full_disk_ends_the_download_and_is_named(
    server, tmp_path, monkeypatch
):
    def write(file, chunk):
        if "train0000" in str(file.name):
            file.write(chunk)
            return
        file.write(chunk[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads, "write_all", write)
    monkeypatch.setattr(downloads, "_SECONDS_TO_END", HANG_SECONDS)
    result, _ = download(server, tmp_path, jobs=1)
    assert list(result.failed) == ["train0001.tfrecord"]
    assert "No space left on device; " in str(result.failed)
    assert f" GB free in {tmp_path}" in str(result.failed)
    assert result.num_fetched == 1
    monkeypatch.undo()
    result, _ = download(server, tmp_path)
    assert (result.num_present, result.num_fetched) == (1, 5)
    assert_all_there(server, tmp_path)


def test_another_download_of_the_same_file_is_left_alone(server, tmp_path):
    with open(tmp_path / ".train0003.tfrecord.part", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result, _ = download(server, tmp_path)
    assert result.failed == {"train0003.tfrecord": "another download is at it"}
    assert server.requests["trainad.tfrecord"] == []


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_shards_part_all_files(count):
    names = [
        f"train{a}{b}.tfrecord" for a in "abyzABYZ0189" for b in "acegikAC05"
    ]
    plan = {name: hashlib.md5(name.encode()).hexdigest() for name in names}
    source = Source(PARTITION, "eu")
    shards = []
    for part in range(1, count + 1):
        with contextlib.suppress(ValueError):  # A shard without a file.
            shards.append(choose_files(source, plan, f"{part},{count}"))
    found = [
        file.address.rsplit("/", 1)[1] for shard in shards for file in shard
    ]
    assert sorted(found) == sorted(names)
    # The official downloader's rule.
    first = [n for n in names if int(plan[n], 16) % count == 0]
    if first:
        shard = choose_files(source, plan, f"1,{count}")
        assert {file.name for file in shard} == set(map(local_name, first))


def test_addresses_are_the_data_set_s_own():
    source = Source("3/frame/validate", "asia")
    assert source.plan_address == (
        "http://data.yt8m.org/3/download_plans/frame_validate.json"
    )
    assert source.address("validateaa.tfrecord") == (
        "http://asia.data.yt8m.org/3/frame/validate/validateaa.tfrecord"
    )
    source = Source(PARTITION, "us", "https://storage.example/{host}/")
    assert source.plan_address == (
        "https://storage.example/data.yt8m.org/2/download_plans/"
        "frame_train.json"
    )
    assert source.address("a").startswith(
        "https://storage.example/us.data.yt8m.org/2/frame/train/"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trainaa.tfrecord", "train0000.tfrecord"),
        ("trainab.tfrecord", "train0001.tfrecord"),
        ("trainaA.tfrecord", "train0026.tfrecord"),
        ("trainba.tfrecord", "train0062.tfrecord"),
        ("validate99.tfrecord", "validate3843.tfrecord"),
        ("a.tfrecord", "a.tfrecord"),
        ("train-0.tfrecord", "train-0.tfrecord"),
    ],
)
def test_two_letters_become_a_number(name, expected):
    assert local_name(name) == expected


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (("frame/train", "us"), "partition must be VERSION/LEVEL/SPLIT such"),
        (("x/frame/train", "us"), "partition must be VERSION/LEVEL/SPLIT"),
        (("2/frames/train", "us"), "Did you mean 'frame'? Choices: frame, "),
        (("2/frame/valid", "us"), "Did you mean 'validate'? Choices: test, "),
        (("2/frame/train", "uk"), "Unknown mirror 'uk'."),
        (("2/frame/train", "uk"), "Choices: asia, eu, us."),
        (("2/frame/train", "us", "ftp://x"), "server must be an address"),
    ],
)
def test_wrong_terms_are_explained(fields, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Source(*fields)


@pytest.mark.parametrize(
    ("shard", "says"),
    [
        ("1", "shard must be m,n such as 1,100"),
        ("1,2,3", "shard must be m,n"),
        ("a,b", "shard must be m,n"),
        ("0,4", "shard=0,4: m must be from 1 to n."),
        ("5,4", "shard=5,4: m must be from 1 to n."),
    ],
)
def test_wrong_shards_are_explained(shard, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        choose_files(Source(PARTITION, "us"), {"trainaa.x": "0" * 32}, shard)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ("<html>", "Expecting value"),
        ("[]", "it has no object 'files'"),
        ('{"files": {"../../etc/passwd": "x"}}', "is no name of a file"),
        ('{"files": {".hidden": "x"}}', "is no name of a file"),
        ('{"files": {"trainaa.tfrecord": "x"}}', "is no MD5: 'x'"),
    ],
)
def test_what_is_no_plan_is_refused(plan, says, server, tmp_path):
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_plan(plan.encode())
    server.plan = plan.encode()
    with pytest.raises(ValueError, match="cannot be fetched from http"):
        download(server, tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "2_frame_train_download_plan.json").write_text(plan)
    with pytest.raises(ValueError, match=r"is no download plan .* remove it"):
        download(server, tmp_path)


def start_download(server, directory, *flags):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "distill",
            "download_yt8m",
            f"--partition={PARTITION}",
            "--mirror=us",
            f"--server={server.address}",
            f"--output_dir={directory}",
            *flags,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_part(process, directory, size):
    """Waits until a file is there in part."""

    def is_there():
        parts = [path.stat().st_size for path in directory.glob(".*.part")]
        return parts and min(parts) >= size

    wait_until(is_there, process)


@pytest.mark.parametrize(
    ("kind", "status"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)],
)
def test_a_download_that_was_ended_is_continued(kind, status, tmp_path):
    with serve_files(1, size=60_000) as server:
        server.faults["trainaa.tfrecord"] = ["silent after 10240"]
        with start_download(server, tmp_path) as process:
            wait_for_part(process, tmp_path, 10_000)
            process.send_signal(kind)
            _, errors = process.communicate(timeout=HANG_SECONDS)
        assert process.returncode == status, errors
        assert "Traceback" not in errors
        if status > 0:
            assert errors == "Interrupted: another call continues.\n"
        (part,) = tmp_path.glob(".*.part")
        size = part.stat().st_size
        assert 10_000 <= size < 60_000
        before = server.served["trainaa.tfrecord"]
        with start_download(server, tmp_path) as process:
            output, errors = process.communicate(timeout=HANG_SECONDS)
        assert process.returncode == 0, errors
        assert server.requests["trainaa.tfrecord"] == [None, f"bytes={size}-"]
        assert server.served["trainaa.tfrecord"] - before >= 60_000 - size
        assert "0 files were there, 1 were fetched" in output
        assert_all_there(server, tmp_path)


def test_what_failed_is_listed_and_the_exit_status_says_so(server, tmp_path):
    server.faults["trainab.tfrecord"] = ["always 404"]
    with start_download(server, tmp_path, "--jobs=3") as process:
        output, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 1
    assert "6 of the 6 files of 2/frame/train; " in output
    assert "0 files were there, 5 were fetched (0.0 MB), 1 failed" in output
    (line,) = errors.splitlines()
    assert line.startswith("train0001.tfrecord: the server answered 404")


def run_bash(directory, **variables):
    return subprocess.run(
        ["bash", str(ROOT / "scripts" / "download_yt8m.sh"), *directory],
        env=os.environ | variables,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )


def test_the_bash_script_takes_the_official_variables(tmp_path):
    with serve_files(12) as server:
        variables = {
            "partition": PARTITION,
            "mirror": "eu",
            "jobs": "2",
            "server": server.address,
        }
        for shard in ("1,2", "2,2"):
            done = run_bash([str(tmp_path)], shard=shard, **variables)
            assert done.returncode == 0, done.stderr
        assert_all_there(server, tmp_path)
        assert all(server.served[name] == 5000 for name in server.files)
    assert "Usage: partition=" in run_bash([]).stderr
    done = run_bash([str(tmp_path)], partition="2/frame/train")
    assert done.stderr == "ERROR: Give a value to --mirror.\n"
